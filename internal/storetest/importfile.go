package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"telltale.example/telltale"
)

// RunImportFiles says what every [telltale.ImportFiles] must do. open gives one
// without files.
func RunImportFiles(t *testing.T, open func(t *testing.T) telltale.ImportFiles) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, files telltale.ImportFiles)
	}{
		{"a file is read as it was stored, from any place on", readsAsStored},
		{"several files are kept apart", keepsApart},
		{"of an upload that breaks off there is no file, and its error is given", breaksOff},
		{"a file that is removed is not there, and may be removed again", removes},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

// content is that many bytes, which no other place has.
func content(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func saved(t *testing.T, files telltale.ImportFiles, file io.Reader) telltale.ImportID {
	t.Helper()
	id := telltale.NewImportID()
	if _, err := files.SaveFile(t.Context(), id, file); err != nil {
		t.Fatal(err)
	}
	return id
}

func readsAsStored(t *testing.T, files telltale.ImportFiles) {
	const mib = 1 << 20
	for _, size := range []int{1, 1000, mib - 1, mib, mib + 1, 2 * mib, 5*mib/2 + 7} {
		want := content(size)
		id := telltale.NewImportID()
		if got, err := files.SaveFile(t.Context(), id, iotest.HalfReader(bytes.NewReader(want))); err != nil || got != int64(size) {
			t.Fatalf("saving %d bytes gives %d, %v", size, got, err)
		}
		file, err := files.OpenFile(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if file.Size() != int64(size) {
			t.Errorf("of %d bytes it has %d", size, file.Size())
		}
		if size <= 1000 { // it reads byte by byte
			if err := iotest.TestReader(file, want); err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
		for _, place := range []int64{0, int64(size) - 1, int64(size) / 2, mib, int64(size)} {
			at, err := file.Seek(place, io.SeekStart)
			if err != nil || at != place {
				t.Fatalf("going to %d of %d gives %d, %v", place, size, at, err)
			}
			got, err := io.ReadAll(file)
			if err != nil || !bytes.Equal(got, want[min(place, int64(size)):]) {
				t.Errorf("of %d bytes, from %d on there are %d, which are not those that were stored: %v", size, place, len(got), err)
			}
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

func keepsApart(t *testing.T, files telltale.ImportFiles) {
	var ids []telltale.ImportID
	for i := range 3 {
		ids = append(ids, saved(t, files, strings.NewReader(fmt.Sprint("file ", i))))
	}
	for i, id := range ids {
		file, err := files.OpenFile(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(file); err != nil || string(got) != fmt.Sprint("file ", i) {
			t.Errorf("the file %d says %q, %v", i, got, err)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

func breaksOff(t *testing.T, files telltale.ImportFiles) {
	for _, broken := range []error{errors.New("the line broke"), io.ErrUnexpectedEOF, telltale.Errorf(telltale.TooLarge, "It is too large.")} {
		for _, size := range []int{0, 10, 3 << 20} {
			id := telltale.NewImportID()
			_, err := files.SaveFile(t.Context(), id, io.MultiReader(bytes.NewReader(content(size)), iotest.ErrReader(broken)))
			if !errors.Is(err, broken) {
				t.Errorf("after %d bytes the error is %v, not %v", size, err, broken)
			}
			if _, err := files.OpenFile(t.Context(), id); telltale.CodeOf(err) != telltale.NotFound {
				t.Errorf("after %d bytes, opening it gives %v", size, err)
			}
		}
	}
}

func removes(t *testing.T, files telltale.ImportFiles) {
	id, other := saved(t, files, bytes.NewReader(content(3<<20))), saved(t, files, strings.NewReader("other"))
	for range 2 {
		if err := files.RemoveFile(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if _, err := files.OpenFile(t.Context(), id); telltale.CodeOf(err) != telltale.NotFound {
			t.Errorf("opening it gives %v", err)
		}
	}
	file, err := files.OpenFile(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}
