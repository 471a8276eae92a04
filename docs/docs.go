// Package docs holds the documents that the binary carries: the Markdown files
// of this folder and of feeds, one for each mail provider, and the receivers that they show. Package internal/docs makes
// pages of them.
package docs

import "embed"

// Files are the documents for those who use and run Telltale.
//
//go:embed *.md feeds receivers
var Files embed.FS
