package web

import (
	"telltale.example/telltale"
	"telltale.example/telltale/internal/docs"
)

// documentView is a document with the table of contents of all.
type documentView struct {
	frame
	Page    docs.Page
	Entries []docs.Entry
}

// Groups are the chapters of the table of contents.
func (p *documentView) Groups() []documentGroup {
	var groups []documentGroup
	for _, e := range p.Entries {
		if n := len(groups); n == 0 || groups[n-1].Name != e.Group {
			groups = append(groups, documentGroup{Name: e.Group})
		}
		last := &groups[len(groups)-1]
		last.Entries = append(last.Entries, e)
	}
	return groups
}

type documentGroup struct {
	Name    string
	Entries []docs.Entry
}

// Next is the document behind this one; empty behind the last.
func (p *documentView) Next() docs.Entry {
	for i, e := range p.Entries[:len(p.Entries)-1] {
		if e.Path == p.Page.Path {
			return p.Entries[i+1]
		}
	}
	return docs.Entry{}
}

func documentPage(c *call) error {
	page, ok := docs.Find(c.r.URL.Path)
	if !ok {
		return telltale.Errorf(telltale.NotFound, "There is no document at this address. The contents are at /docs.")
	}
	return c.showDocument(page)
}

// referencePage shows the API as its own description has it.
func referencePage(c *call) error {
	page, err := c.reference()
	if err != nil {
		return err
	}
	return c.showDocument(page)
}

func (c *call) showDocument(page docs.Page) error {
	return c.page("document", &documentView{frame: frame{Title: page.Title, Wide: true, Open: true}, Page: page, Entries: docs.Contents()})
}
