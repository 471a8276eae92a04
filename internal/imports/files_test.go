package imports

import (
	"path/filepath"
	"testing"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/storetest"
)

func TestAFolderKeepsFiles(t *testing.T) {
	t.Parallel()
	storetest.RunImportFiles(t, func(t *testing.T) telltale.ImportFiles { return Folder(filepath.Join(t.TempDir(), "imports")) })
}
