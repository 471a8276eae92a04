module telltale.example/telltale/bench

go 1.26.0

require telltale.example/telltale v0.0.0

replace telltale.example/telltale => ../
