package stored

import (
	"encoding/json"
	"fmt"

	"telltale.example/telltale"
)

// Seal seals a value, as JSON, for the place that it is stored in: elsewhere
// nobody opens it.
func Seal(sealer telltale.Sealer, place string, value any) ([]byte, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	sealed, err := sealer.Seal(plain, place)
	if err != nil {
		return nil, fmt.Errorf("sealing %s: %w", place, err)
	}
	return sealed, nil
}

// Open reads what Seal made of a value; nil leaves the value as it is.
func Open(sealer telltale.Sealer, place string, sealed []byte, value any) error {
	if sealed == nil {
		return nil
	}
	plain, err := sealer.Open(sealed, place)
	if err != nil {
		return fmt.Errorf("opening %s: %w", place, err)
	}
	if err := json.Unmarshal(plain, value); err != nil {
		return fmt.Errorf("%s: %w", place, err)
	}
	return nil
}
