package auth

import (
	"fmt"
	"strings"
)

// maxTokenFile bounds what is read of a token file, in bytes: a token and some space.
const maxTokenFile = 128

// WriteOwnerToken keeps the owner's token at path, in place of one that may be
// there: in a file of mode 0600 that is on stable storage on return.
func WriteOwnerToken(path, token string) error { return replacePrivate(path, token+"\n") }

// ReadOwnerToken reads what [WriteOwnerToken] wrote. It gives [io/fs.ErrNotExist]
// if there is no file, and refuses one that others than its owner may read.
func ReadOwnerToken(path string) (string, error) {
	text, err := readPrivate(path, maxTokenFile)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(text)
	if !wellFormed(token) {
		return "", fmt.Errorf("%s does not hold a token: it should be one line that begins with %s", path, tokenPrefix)
	}
	return token, nil
}
