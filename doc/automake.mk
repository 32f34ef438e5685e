dist_man_MANS += doc/venturid.8
dist_doc_DATA += doc/operators-guide.md README.md NEWS
