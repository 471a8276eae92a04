package telltale

import "testing"

func TestWhatAScopeAllows(t *testing.T) {
	allowed := map[Scope][]Scope{
		ScopeTrack:  {ScopeTrack},
		ScopeIngest: {ScopeIngest, ScopeTrack},
		ScopeRead:   {ScopeRead},
		ScopeManage: {ScopeManage, ScopeRead, ScopeIngest, ScopeTrack},
		ScopeOwner:  {ScopeOwner, ScopeManage, ScopeRead, ScopeIngest}, // the Track API is of one project
		"":          nil,
	}
	for scope, may := range allowed {
		for _, need := range Scopes() {
			want := false
			for _, m := range may {
				want = want || m == need
			}
			if got := scope.Allows(need); got != want {
				t.Errorf("a key of scope %q may do what needs %q: %v; want %v", scope, need, got, want)
			}
		}
	}
}
