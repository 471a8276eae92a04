//go:build !failpoint

package failpoint

// Here is where the program could die.
func Here(string) {}
