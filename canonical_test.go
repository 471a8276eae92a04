package telltale

import "testing"

// Equal values have equal bytes, which are a value again, and equal to it.
func FuzzCanonical(f *testing.F) {
	f.Add(`{"b":1.0,"a":["\u0041",-0,1e2,null,true,{}]}`)
	f.Add(`"\ud83d\ude00"`)
	f.Add(`0.10e-3`)
	f.Fuzz(func(t *testing.T, value string) {
		o, err := ParseObject([]byte(`{"v":` + value + `}`))
		if err != nil {
			return
		}
		v := o.Get("v")
		if v == "" || o.Len() != 1 {
			return
		}
		once := string(appendCanonical(nil, v))
		if twice := string(appendCanonical(nil, once)); twice != once {
			t.Errorf("%s is %s, and that is %s", v, once, twice)
		}
		if !sameValue(v, once) {
			t.Errorf("%s is not the same as %s", v, once)
		}
	})
}
