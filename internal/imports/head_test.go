package imports

import (
	"strings"
	"testing"

	"telltale.example/telltale"
)

func TestAFileOfTheWrongKindIsRefusedByItsHead(t *testing.T) {
	t.Parallel()
	const profiles, events, unsubscribes = telltale.ImportProfiles, telltale.ImportEvents, telltale.ImportUnsubscribes
	many := func(n int) string {
		var b strings.Builder
		b.WriteString("id")
		for i := range n {
			b.WriteString(",c" + strings.Repeat("x", i))
		}
		return b.String() + "\n"
	}
	for _, test := range []struct {
		name string
		kind telltale.ImportKind
		file string
		want string // what the reason says; empty: it is taken
	}{
		{"profiles need an id", profiles, "id,plan\n1,gold\n", ""},
		{"or an email", profiles, "Email , First name\na@example.com,Jo", ""},
		{"events need who, what and when", events, "email,event_name,date,total\n", ""},
		{"unsubscribes need who", unsubscribes, "ID\n1\n", ""},
		{"and may say when", unsubscribes, "email;date\n", ""},
		{"semicolons may divide", profiles, "id;email;full,name\n", ""},
		{"tabs may divide", profiles, "id\temail\n", ""},
		{"a byte order mark is no part of the first name", unsubscribes, "\xEF\xBB\xBFid\n1\n", ""},
		{"the names may be in quotes", events, "\"id\",\"event_name\",\"date\"\r\n", ""},
		{"an empty file", profiles, "", "is empty"},
		{"a file of empty lines", profiles, "\n\r\n", "is empty"},
		{"UTF-16 with a mark", profiles, "\xFF\xFEi\x00d\x00\n\x00", "UTF-16"},
		{"UTF-16 the other way round", profiles, "\xFE\xFF\x00i\x00d", "UTF-16"},
		{"UTF-16 without a mark", profiles, "i\x00d\x00\n\x00", "UTF-16"},
		{"Latin 1", profiles, "id,pr\xe9nom\n", "not UTF-8"},
		{"a workbook", profiles, "PK\x03\x04\x14\x00", "spreadsheet"},
		{"no text", profiles, "id,a\x00b\n", "zero bytes"},
		{"lines of old", profiles, "id,a\r1,b\r2,c\r", "carriage returns"},
		{"a quote that is never closed", profiles, "id,\"a\n1,b\n", "cannot be read"},
		{"no id and no email", profiles, "user,plan,a,b,c,d\n", "no column id and none that is called email; one of them says whom a row is about. Its columns are user, plan, a, b, c, …."},
		{"a name twice", profiles, "id,plan,plan\n", "column plan is there twice"},
		{"an id twice", profiles, "id,ID\n", "column ID is there twice"},
		{"a column without a name", profiles, "id,,plan\n", "Column 2 has no name"},
		{"a long name", profiles, "id," + strings.Repeat("x", 256) + "\n", "column 2 is longer than 255 bytes"},
		{"as many properties as a user has", profiles, many(100), ""},
		{"one more", profiles, many(101), "101 columns of properties"},
		{"too many columns", profiles, "id," + strings.Repeat("x,", 200) + "y\n", "202 columns; the most is 110"},
		{"events, as profiles", profiles, "id,event_name,date\n", "looks like a file of events"},
		{"events, as unsubscribes", unsubscribes, "id,Event_Name,Date\n", "looks like a file of events"},
		{"profiles, as events", events, "id,plan\n", "looks like a file of profiles"},
		{"events without a date", events, "id,event_name,day\n", "has the columns event_name and date; this one has id, event_name, day"},
		{"profiles, as unsubscribes", unsubscribes, "id,email,plan\n", "no others; this one has plan"},
		{"a head without an end", profiles, "id," + strings.Repeat("x", telltale.MaxImportRow+3), "longer than 256 KiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, err := readHead(test.kind, []byte(test.file))
			switch {
			case test.want == "" && err != nil:
				t.Errorf("it is refused: %v", err)
			case test.want == "" && len(h.columns) == 0:
				t.Error("it has no columns")
			case test.want != "" && (telltale.CodeOf(err) != telltale.Invalid || !strings.Contains(err.Error(), test.want)):
				t.Errorf("the error is %v, and does not say %q", err, test.want)
			}
		})
	}
}

func FuzzHead(f *testing.F) {
	for _, seed := range []string{"id,email\n", "\xEF\xBB\xBFid;tags\r\n", "i\x00d\x00", "email\tevent_name\tdate\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, kind := range []telltale.ImportKind{telltale.ImportProfiles, telltale.ImportEvents, telltale.ImportUnsubscribes} {
			h, err := readHead(kind, file)
			switch {
			case err != nil && telltale.CodeOf(err) != telltale.Invalid:
				t.Fatal(err)
			case err == nil && (h.place > int64(len(file)) || h.place < 2 || h.line < 1 || !h.has("id") && !h.has("email")):
				t.Fatalf("the head is %+v", h)
			}
		}
	})
}
