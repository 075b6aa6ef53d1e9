"""The live gallery: a local page with a spec in an editor, and what it does to images, drawn again as one types.

    augreg gallery --live --spec train.yaml --images photos

The server listens on 127.0.0.1 only, and answers only to the page that it gave out itself.
"""
