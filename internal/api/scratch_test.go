package api
import ("testing";"os")
func TestScratch(t *testing.T){ d,err:=Document("0.1.0","http://localhost:8484"); if err!=nil{t.Fatal(err)}; os.WriteFile("/tmp/openapi.json",d,0o644) }
