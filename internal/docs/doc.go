// Package docs has the documents inside the binary as pages: the Markdown files
// of the folder docs, the receivers in six languages, and the API reference,
// which is made of the OpenAPI document.
//
// A document is one file that serves twice: people read it in the repository,
// and the server shows it at /docs. Links between the files become links between
// the pages; one that leads nowhere, or to a heading that is not there, is found
// when the pages are made, which a test does. Raw HTML is left out.
//
// Package web puts the layout around what this package gives.
package docs
