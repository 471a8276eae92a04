package docs

import (
	"fmt"

	"github.com/yuin/goldmark/ast"
	extensionast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/util"
)

// frames puts around code what the pages put around it, with a button that
// copies it, and lets a wide table scroll by itself, by keyboard too.
type frames struct{}

func (f frames) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(ast.KindFencedCodeBlock, f.code)
	r.Register(extensionast.KindTable, f.table)
}

// codeTitles is what the head of a block of code says, by its language.
var codeTitles = map[string]string{
	"go": "Go", "ts": "TypeScript", "python": "Python", "ruby": "Ruby", "php": "PHP", "java": "Java",
	"sh": "Shell", "console": "Shell", "json": "JSON", "toml": "TOML", "http": "HTTP",
}

func (frames) code(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	block := n.(*ast.FencedCodeBlock) // it is registered for no other kind
	title := codeTitles[string(block.Language(source))]
	if title == "" {
		title = "Text"
	}
	id := fmt.Sprintf("code-%d", block.Lines().At(0).Start)
	_, _ = fmt.Fprintf(w, `<div class="code"><div class="code-head"><span>%s</span><button class="btn small" type="button" data-copy="#%s" aria-label="Copy this code">Copy</button></div><pre id="%s" tabindex="0"><code>`, title, id, id)
	for i := range block.Lines().Len() {
		line := block.Lines().At(i)
		_, _ = w.Write(util.EscapeHTML(line.Value(source)))
	}
	_, err := w.WriteString("</code></pre></div>\n")
	return ast.WalkSkipChildren, err
}

func (frames) table(w util.BufWriter, _ []byte, _ ast.Node, entering bool) (ast.WalkStatus, error) {
	tag := "</table></div>\n"
	if entering {
		tag = `<div class="scroll" tabindex="0"><table>` + "\n"
	}
	_, err := w.WriteString(tag)
	return ast.WalkContinue, err
}
