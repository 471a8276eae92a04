package stored

import (
	"encoding/json"
	"fmt"

	"telltale.example/telltale"
)

// EncodeBinAnswer gives what a bin answers as JSON: "" for the usual answer.
func EncodeBinAnswer(a telltale.BinAnswer) (string, error) {
	if a == (telltale.BinAnswer{}) {
		return "", nil
	}
	text, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("what a bin answers: %w", err)
	}
	return string(text), nil
}

// DecodeBinAnswer reads it. What is no answer is the usual one.
func DecodeBinAnswer(text string) (a telltale.BinAnswer) {
	_ = json.Unmarshal([]byte(text), &a)
	return a
}
