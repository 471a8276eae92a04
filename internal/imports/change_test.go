package imports

import (
	"io"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// describe writes what a change says.
func describe(c telltale.UserChange) string {
	text := string(c.Kind) + " id=" + c.User.ID + " email=" + c.User.Email
	if len(c.Add) > 0 {
		text += " tags=" + strings.Join(c.Add, "|")
	}
	if c.Data.Len() > 0 {
		text += " " + string(c.Data.AppendJSON(nil))
	}
	if e := c.Event; e != nil {
		text += " " + e.Name + " " + string(e.Data.AppendJSON(nil)) + " " + e.OccurredAt.Format(time.RFC3339)
	}
	if !c.At.IsZero() {
		text += " at " + c.At.Format(time.RFC3339)
	}
	return text
}

func TestRowsBecomeChanges(t *testing.T) {
	t.Parallel()
	const profiles, events, unsubscribes = telltale.ImportProfiles, telltale.ImportEvents, telltale.ImportUnsubscribes
	for _, test := range []struct {
		name string
		kind telltale.ImportKind
		file string
		want string // of the row behind the head
	}{
		{"a profile has its properties as text", profiles, "id,plan,age\n7, gold ,42\n", `identify id="7" email= {"plan":" gold ","age":"42"}`},
		{"an empty field says nothing", profiles, "id,email,plan\n,jo@example.com,\n", `identify id= email=jo@example.com`},
		{"tags are a list", profiles, "id,Tags\n7,\"vip, unsubscribed,,vip\"\n", `identify id="7" email= tags=vip|unsubscribed`},
		{"names differ by their case, and stay as they are", profiles, "Id,Plan\n7,gold\n", `identify id="7" email= {"Plan":"gold"}`},
		{"other columns of profiles are properties, whatever they are called", profiles, "id,date\n7,soon\n", `identify id="7" email= {"date":"soon"}`},
		{"an event has data", events, "email,event_name,date,total\njo@example.com,Bought it,2026-11-20T09:30:00+01:00,9.90\n", `track id= email=jo@example.com Bought it {"total":"9.90"} 2026-11-20T08:30:00Z at 2026-11-20T08:30:00Z`},
		{"dates may be Unix time", events, "id,event_name,date\n7,x,1795167000\n", `track id="7" email= x {} 2026-11-20T09:30:00Z at 2026-11-20T09:30:00Z`},
		{"with a fraction", events, "id,event_name,date\n7,x,1795167000.250\n", `track id="7" email= x {} 2026-11-20T09:30:00Z at 2026-11-20T09:30:00Z`},
		{"or as databases write them", events, "id,event_name,date\n7,x,2026-11-20 09:30:00\n", `track id="7" email= x {} 2026-11-20T09:30:00Z at 2026-11-20T09:30:00Z`},
		{"or days", events, "id,event_name,date\n7,x,2026-11-20\n", `track id="7" email= x {} 2026-11-20T00:00:00Z at 2026-11-20T00:00:00Z`},
		{"an unsubscribe needs no date", unsubscribes, "email,date\n jo@example.com ,\n", `unsubscribe id= email=jo@example.com`},
		{"and may have one", unsubscribes, "id,date\n7,2026-01-02T03:04:05Z\n", `unsubscribe id="7" email= at 2026-01-02T03:04:05Z`},

		{"fields are missing", profiles, "id,email,plan\n7\n", "! The row has 1 field and the head 3."},
		{"fields are too many", profiles, "id\n7,8\n", "! The row has 2 fields and the head 1."},
		{"nobody is named", profiles, "id,email,plan\n , ,gold\n", "! The row has no id and no email: one of them says whom it is about."},
		{"an id is long", profiles, "id\n" + strings.Repeat("ä", 256) + "\n", "! The column id has more than 255 characters."},
		{"an id has as many characters as it may", profiles, "id\n" + strings.Repeat("ä", 255) + "\n", `identify id="` + strings.Repeat("ä", 255) + `" email=`},
		{"a field is not UTF-8", profiles, "id,name\n7,Andr\xe9\n", "! The column name is not UTF-8."},
		{"a field has a zero byte", profiles, "id,name\n7,a\x00b\n", "! The column name has a zero byte."},
		{"a quote stays open", profiles, "id,name\n7,\"Jo\n", "! " + unclosedQuote},
		{"a tag is long", profiles, "id,tags\n7," + strings.Repeat("x", 256) + "\n", "! A tag has more than 255 characters."},
		{"an event has no name", events, "id,event_name,date\n7,,2026-11-20\n", "! The column event_name is empty: it says what the user did."},
		{"an event has no date", events, "id,event_name,date\n7,x,\n", "! The column date is empty: it says when the user did it."},
		{"a date is none", events, "id,event_name,date\n7,x,20.11.2026\n", `! The column date has "20.11.2026", which is no date; such as 2026-11-20T09:30:00Z, 2026-11-20 09:30:00 or 1795167000.`},
		{"a date is to come", events, "id,event_name,date\n7,x,2026-11-22T00:00:00Z\n", `! The column date has "2026-11-22T00:00:00Z", which is in the future; a number is Unix time in seconds.`},
		{"a date is in milliseconds", unsubscribes, "id,date\n7,1795167000000\n", `! The column date has "1795167000000", which is in the future; a number is Unix time in seconds.`},
		{"a date is before all", unsubscribes, "id,date\n7,0026-11-20\n", `! The column date has "0026-11-20", which is before 1970.`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, err := readHead(test.kind, []byte(test.file))
			if err != nil {
				t.Fatal(err)
			}
			r := newRows(strings.NewReader(test.file[h.place:]), h.delimiter, h.place, h.line)
			row, err := r.next()
			if err != nil || row.line != 2 {
				t.Fatalf("the row is %+v, %v", row, err)
			}
			c, wrong := h.change(row, noon)
			got := "! " + wrong
			if wrong == "" {
				got = describe(c)
			}
			if got != test.want {
				t.Errorf("the row is\n%s, not\n%s", got, test.want)
			}
			if _, err := r.next(); err != io.EOF && row.wrong == "" {
				t.Errorf("there is more: %v", err)
			}
		})
	}
}

func FuzzChange(f *testing.F) {
	f.Add([]byte("id,tags\n7,a\n\"8\",\"b,c\"\n"))
	f.Add([]byte("email;event_name;date;n\na@b;x;2026-01-01;\xff\n"))
	f.Add([]byte("id\tdate\n7\t1e9\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, kind := range []telltale.ImportKind{telltale.ImportProfiles, telltale.ImportEvents, telltale.ImportUnsubscribes} {
			h, err := readHead(kind, file)
			if err != nil {
				continue
			}
			r := newRows(strings.NewReader(string(file[h.place:])), h.delimiter, h.place, h.line)
			for {
				row, err := r.next()
				if err != nil {
					break
				}
				c, wrong := h.change(row, noon)
				if wrong != "" {
					continue
				}
				effect, err := c.On("prj_1", nil, nil, noon)
				if telltale.CodeOf(err) != "" && telltale.CodeOf(err) != telltale.Invalid {
					t.Fatal(err)
				}
				for i := range effect.Activities {
					if _, faults := effect.Activities[i].Render(noon); len(faults) > 0 {
						t.Fatalf("row %q gives an event that is wrong: %v", row.raw, faults)
					}
				}
			}
		}
	})
}
