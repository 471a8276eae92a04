// Package config gathers the settings of the server and of the command line
// and remembers of each value where it came from.
//
// A value is taken from the first of these that has it:
//
//	a flag                            --retention-days 90
//	the environment                   TELLTALE_RETENTION_DAYS=90
//	the file of --config, or else
//	telltale.toml in the current
//	folder                            retention_days = 90
//	telltale/config.toml in the XDG
//	configuration folder              retention_days = 90
//	the default                       30
//
// A secret can also be read from a file that a setting of the same name with
// _file names: TELLTALE_TOKEN_FILE, token_file, --token-file.
//
// All that is wrong is reported at once, one line each, with the value, where
// it came from and what is expected. That goes for values that another one
// hides, and for keys, and variables that begin with TELLTALE_, which are no
// settings: what is misspelt has no effect, and nobody notices.
package config
