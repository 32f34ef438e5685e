dist_man_MANS += doc/venturid.8
dist_doc_DATA += doc/alerts.md doc/architecture.md doc/identity.md doc/numbers.md \
    doc/operators-guide.md doc/routes.md doc/testing.md README.md NEWS
