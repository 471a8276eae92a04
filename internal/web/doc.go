// Package web has the pages: everything that a person sees in a browser.
//
// They are rendered here, from html/template, and work without JavaScript: each
// action is a link or a form. Where there is JavaScript, htmx asks for the same
// addresses and puts the part of the page that it gets in place.
//
// # The way of a request
//
// [Routes] is all of it, read from top to bottom: method, path, what the
// operator must be allowed, and who answers. What stands before a handler is in
// guard.go: the host is one of ours, a form does not come from another site, and
// somebody is signed in who may do this. The context carries who it is
// ([telltale.WithActor]). Handlers return an error or have answered; error.go
// alone makes a page of an error.
//
// # A page
//
// A page is a file named for its noun, with a struct that embeds [frame] and what
// the page shows, and template/<noun>.html, which defines "main" and other parts.
// [call.page] renders it within the layout, or "main" alone if htmx asks for a
// part. Actions end with [call.done], which goes to another page with a notice, or
// [call.result], which shows the notice where the person is. Words that several
// pages share (badges, fields, pagers, times) are in template/parts.html with their
// structs in part.go.
//
// Values reach a page only through html/template, which knows where it writes
// them; nothing here is marked as safe but charts, which are made of numbers.
package web
