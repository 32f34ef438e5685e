dist_man_MANS += doc/venturid.8
dist_doc_DATA += doc/operators-guide.md doc/testing.md README.md NEWS
