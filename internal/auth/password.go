package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"telltale.example/telltale"
)

// Parameters of new hashes: argon2id with 19 MiB, two passes and one lane, as
// OWASP's password storage cheat sheet advises. Old hashes carry their own.
const (
	argonMemory  = 19 << 10 // KiB
	argonPasses  = 2
	argonLanes   = 1
	argonKey     = 32
	argonSalt    = 16
	maxArgonCost = 1 << 20 // KiB times passes that a stored hash may ask for
)

// hashing bounds how many hashes are made at once, and so the memory that
// people at the door can take; line bounds how many people stand there, and so
// how long the last one waits: about a second.
var (
	hashing = make(chan struct{}, 2)
	line    = make(chan struct{}, 64)
)

// errCrowd is for whoever finds the line full.
var errCrowd = &telltale.Error{Code: telltale.Unavailable, Message: "Too many people sign in at this moment. Try again in a few seconds.", RetryAfter: 3 * time.Second}

// inLine runs f when its turn has come, or gives Unavailable.
func inLine(f func() string) (string, error) {
	select {
	case line <- struct{}{}:
		defer func() { <-line }()
	default:
		return "", errCrowd
	}
	hashing <- struct{}{}
	defer func() { <-hashing }()
	return f(), nil
}

// HashPassword gives the PHC string of a new password. It gives Invalid for one
// that is too short or too long, and Unavailable if too many want theirs.
func HashPassword(password string) (string, error) {
	fault := telltale.Fault{Location: "body.password"}
	switch {
	case utf8.RuneCountInString(password) < telltale.MinPassword:
		fault.Message = fmt.Sprintf("Use at least %d characters.", telltale.MinPassword)
	case len(password) > telltale.MaxPassword:
		fault.Message = fmt.Sprintf("Use at most %d bytes.", telltale.MaxPassword)
	default:
		salt := make([]byte, argonSalt)
		rand.Read(salt)
		return inLine(func() string { return phc(password, salt, argonMemory, argonPasses, argonLanes) })
	}
	return "", telltale.Faulty("Invalid password.", []telltale.Fault{fault})
}

func phc(password string, salt []byte, memory, passes uint32, lanes uint8) string {
	key := argon2.IDKey([]byte(password), salt, passes, memory, lanes, argonKey)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, passes, lanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

// noPassword is the hash of a password that nobody knows: whoever names an
// operator that does not exist waits as long as everyone else.
var noPassword = func() string {
	secret := make([]byte, argonKey)
	rand.Read(secret)
	return phc(string(secret), secret[:argonSalt], argonMemory, argonPasses, argonLanes)
}

// PasswordMatches reports whether the PHC string is one of the password. What
// is no such string matches nothing. It gives Unavailable if too many ask.
func PasswordMatches(hash, password string) (bool, error) {
	memory, passes, lanes, salt, ok := parsePHC(hash)
	if !ok || len(password) > telltale.MaxPassword {
		return false, nil
	}
	made, err := inLine(func() string { return phc(password, salt, memory, passes, lanes) })
	return err == nil && subtle.ConstantTimeCompare([]byte(made), []byte(hash)) == 1, err
}

func parsePHC(hash string) (memory, passes uint32, lanes uint8, salt []byte, ok bool) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return 0, 0, 0, nil, false
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &lanes); err != nil || n != 3 {
		return 0, 0, 0, nil, false
	}
	if passes < 1 || lanes < 1 || memory < 8 || uint64(memory)*uint64(passes) > maxArgonCost {
		return 0, 0, 0, nil, false
	}
	salt, err := base64.RawStdEncoding.Strict().DecodeString(parts[4])
	return memory, passes, lanes, salt, err == nil && len(salt) >= 8
}
