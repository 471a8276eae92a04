package stored

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

func TestAProfileIsReadAsItWasStored(t *testing.T) {
	properties, err := telltale.ParseObject([]byte(`{"plan":"free","price":10.50,"of":["felt",null],"a\u0000b":"\ud83d\ude00"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []telltale.Profile{
		{UserID: "7", GivenID: "7"},
		{UserID: "7", GivenID: `"7"`},
		{UserID: `a"b`, GivenID: `"a\"b"`, FormerIDs: []string{"6", "été"}, Tags: []string{"a", `"`, "\x00"}, Channels: []telltale.Channel{{Type: "push", Address: "token", Platform: "ios", Device: "phone"}, {Type: "sms", Address: "+47"}}, Properties: properties},
	} {
		row := EncodeProfile(&want)
		got := telltale.Profile{UserID: want.UserID}
		if err := row.Decode(&got); err != nil {
			t.Errorf("%+v: %v", row, err)
		}
		if got, want := string(got.Properties.AppendJSON(nil)), string(want.Properties.AppendJSON(nil)); got != want {
			t.Errorf("the properties %s are read as %s", want, got)
		}
		got.Properties, want.Properties = telltale.Object{}, telltale.Object{}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(telltale.Object{})); diff != "" {
			t.Errorf("%+v: -want +got\n%s", row, diff)
		}
	}
	if row := EncodeProfile(&telltale.Profile{UserID: "7", GivenID: `"7"`}); row != (ProfileRow{}) {
		t.Errorf("what says nothing is stored as %+v", row)
	}
}

func TestAProfileThatCannotBeReadIsAnError(t *testing.T) {
	for _, row := range []ProfileRow{{FormerIDs: "["}, {Tags: "{}"}, {Channels: `["a"]`}, {Properties: "{"}, {Properties: "[]"}} {
		if err := row.Decode(&telltale.Profile{UserID: "7"}); err == nil {
			t.Errorf("%+v is read", row)
		}
	}
}
