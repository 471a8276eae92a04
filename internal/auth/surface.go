package auth

import (
	"context"
	"log/slog"
	"net/http"

	"telltale.example/telltale"
)

// KeyRing implements telltale.Sealer.
type KeyRing struct{}

// ParseKeyRing reads keys as SECRET_KEY holds them: base64 of 32 bytes each, one per line.
func ParseKeyRing(text string) (*KeyRing, error) { panic("being written") }

// LoadOrCreateKeyFile reads the key ring from path, or makes the file with one fresh key.
func LoadOrCreateKeyFile(path string) (*KeyRing, error) { panic("being written") }

func (r *KeyRing) Seal(plain []byte, row string) ([]byte, error)  { panic("being written") }
func (r *KeyRing) Open(sealed []byte, row string) ([]byte, error) { panic("being written") }

// Derive gives 32 bytes for one purpose, such as "cursor".
func (r *KeyRing) Derive(purpose string) []byte { panic("being written") }

// Store is what we ask of storage.
type Store interface {
	KeyByHash(ctx context.Context, hash [32]byte) (telltale.Key, error)
	TouchKeys(ctx context.Context, ids []telltale.KeyID) error
	ProjectBySlug(ctx context.Context, slug string) (telltale.Project, error)
	Project(ctx context.Context, id telltale.ProjectID) (telltale.Project, error)
}

// Identity is who makes a request, and on which project.
type Identity struct {
	Key     telltale.Key
	Project telltale.Project
}

// Keys authenticates requests.
type Keys struct{}

// NewKeys starts noting last uses in the background; Close ends it.
func NewKeys(store Store, log *slog.Logger) *Keys { panic("being written") }

// Authenticate finds who makes r and whether they may do what needs the scope.
// An owner key works on ?project=slug; without it on the project "default",
// or, where need is ScopeOwner, on none (Identity.Project is zero).
func (k *Keys) Authenticate(r *http.Request, need telltale.Scope) (Identity, error) {
	panic("being written")
}

// Forget makes a revocation effective at once.
func (k *Keys) Forget(hash [32]byte) { panic("being written") }

// ForgetProjects makes a change of a project effective at once.
func (k *Keys) ForgetProjects() { panic("being written") }

// Close writes what last uses are not yet written.
func (k *Keys) Close(ctx context.Context) error { panic("being written") }

// WriteOwnerToken and ReadOwnerToken keep the owner's token in a file of mode 0600.
func WriteOwnerToken(path, token string) error   { panic("being written") }
func ReadOwnerToken(path string) (string, error) { panic("being written") }
