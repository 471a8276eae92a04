package signature

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"iter"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// BodyChange says what happened to a body between signing and verifying, as
// the end of a sentence.
type BodyChange string

// The changes that [Explain] can undo.
const (
	BodyGrewWhiteSpace BodyChange = "white space or a line break was added around it"
	BodyLostLineBreak  BodyChange = "the line break at its end was removed"
	BodyGrewMark       BodyChange = "a byte order mark was put before it"
	BodyGrewCarriage   BodyChange = "its line breaks became CR LF"
	BodyLostCarriage   BodyChange = "its line breaks lost their CR"
	BodyEncoded        BodyChange = "it was encoded in base64"
	BodyLaidOut        BodyChange = "its JSON was parsed and written again with other white space"
	BodyEscaped        BodyChange = "its JSON was parsed and written again with characters escaped"
)

// Indenting multiplies a body by its depth, so that both are bounded: more
// bytes or a deeper body than a payload has are not laid out anew.
const (
	maxLaidOutBytes = 256 << 10
	maxLaidOutDepth = 32
)

// originals gives the body as it is, with no change, and then every form that
// it may have had when it was signed. Most bodies give fewer than twenty.
func originals(body []byte) iter.Seq2[BodyChange, []byte] {
	return func(yield func(BodyChange, []byte) bool) {
		if !yield("", body) {
			return
		}
		try := func(change BodyChange, original []byte) bool {
			return bytes.Equal(original, body) || yield(change, original)
		}
		mark := []byte("\ufeff")
		_ = try(BodyGrewWhiteSpace, bytes.TrimRight(body, "\r\n")) &&
			try(BodyGrewWhiteSpace, bytes.TrimSpace(body)) &&
			try(BodyLostLineBreak, append(bytes.Clone(body), '\n')) &&
			try(BodyLostLineBreak, append(bytes.Clone(body), '\r', '\n')) &&
			try(BodyGrewMark, bytes.TrimPrefix(body, mark)) &&
			try(BodyGrewCarriage, bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))) &&
			try(BodyLostCarriage, bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n"))) &&
			tryBase64(body, try) &&
			tryJSON(bytes.TrimPrefix(body, mark), try)
	}
}

func tryBase64(body []byte, try func(BodyChange, []byte) bool) bool {
	decoded, err := base64.StdEncoding.AppendDecode(nil, bytes.TrimSpace(body))
	return err != nil || len(decoded) == 0 || try(BodyEncoded, decoded)
}

// tryJSON tries the layouts in which JSON is commonly written, with the
// characters as they are and with needless escapes undone. The order of keys
// and the digits of numbers stay: what lost them cannot be undone.
func tryJSON(body []byte, try func(BodyChange, []byte) bool) bool {
	if len(body) > maxLaidOutBytes || !json.Valid(body) || depth(body) > maxLaidOutDepth {
		return true
	}
	layOut := func(change BodyChange, text []byte) bool {
		var compact bytes.Buffer
		if json.Compact(&compact, text) != nil || !try(change, compact.Bytes()) || !try(change, spaced(compact.Bytes())) {
			return false
		}
		for _, indent := range []string{"  ", "    ", "\t"} {
			var b bytes.Buffer
			if json.Indent(&b, compact.Bytes(), "", indent) != nil || !try(change, b.Bytes()) {
				return false
			}
		}
		return true
	}
	if !layOut(BodyLaidOut, body) {
		return false
	}
	plain := unescaped(body)
	return bytes.Equal(plain, body) || try(BodyEscaped, plain) && layOut(BodyEscaped, plain)
}

// depth is how deep the arrays and objects of valid JSON are nested.
func depth(text []byte) int {
	depth, deepest := 0, 0
	for c, inString := range jsonBytes(text) {
		switch {
		case inString:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// spaced puts a space after each comma and colon of compact JSON, the way
// Python writes it.
func spaced(compact []byte) []byte {
	var out []byte
	for c, inString := range jsonBytes(compact) {
		out = append(out, c)
		if !inString && (c == ',' || c == ':') {
			out = append(out, ' ')
		}
	}
	return out
}

// jsonBytes gives each byte of valid JSON, and whether it lies in a string.
func jsonBytes(text []byte) iter.Seq2[byte, bool] {
	return func(yield func(byte, bool) bool) {
		inString, escaped := false, false
		for _, c := range text {
			was := inString
			switch {
			case escaped:
				escaped = false
			case inString && c == '\\':
				escaped = true
			case c == '"':
				inString = !inString
			}
			if !yield(c, was || inString) {
				return
			}
		}
	}
}

// unescaped undoes the escapes in valid JSON that need not be: \/ and \uXXXX
// for anything but control characters, quote and backslash.
func unescaped(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		if text[i] != '\\' { // only strings hold a backslash
			out = append(out, text[i])
			i++
			continue
		}
		switch r, size := escape(text[i:]); {
		case text[i+1] == '/':
			out = append(out, '/')
			i += 2
		case size > 0 && r >= ' ' && r != '"' && r != '\\':
			out = utf8.AppendRune(out, r)
			i += size
		default:
			out = append(out, text[i], text[i+1])
			i += 2
		}
	}
	return out
}

// escape reads \uXXXX, or two that make a surrogate pair, and gives its length:
// 0 for anything else, a lone surrogate included.
func escape(text []byte) (r rune, size int) {
	unit := func(text []byte) (rune, bool) {
		if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
		return rune(n), err == nil
	}
	r, ok := unit(text)
	switch {
	case !ok:
		return 0, 0
	case !utf16.IsSurrogate(r):
		return r, 6
	}
	low, ok := unit(text[6:])
	if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
		return pair, 12
	}
	return 0, 0
}
