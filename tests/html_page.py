"""Reads a page as the tests of reports see it."""

import re
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """Collects a page's tags, attributes, text, headings and rows of tables; fails on a tag that is closed in the wrong place."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.headings, self.rows, self.said = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open
        self.text = re.sub(r"\s+", " ", " ".join(self.said))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.said.append(data)
        if {"td", "th"} & set(self.open) and data.strip():
            self.rows[-1].append(data.strip())
        if {"h2", "h3"} & set(self.open):
            self.headings.append(data)
