package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

const envPrefix = "TELLTALE_"

// kubernetesLink matches the variables that Kubernetes sets in every container
// for each service of its namespace: one called telltale gives
// TELLTALE_SERVICE_HOST, TELLTALE_PORT=tcp://10.0.0.1:8484 and so on.
// https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
var kubernetesLink = regexp.MustCompile(`^TELLTALE_([A-Z0-9_]+_)?(SERVICE_HOST=[0-9a-f.:]+|SERVICE_PORT(_[A-Z0-9_]+)?=[0-9]+|PORT=(tcp|udp|sctp)://.*|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=.*)$`)

// fromEnviron takes the variables that are ours. An empty one counts as not
// set: that is how files for many environments spell "none".
func fromEnviron(environ []string) (values []given, faults []error) {
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || text == "" || kubernetesLink.MatchString(entry) {
			continue
		}
		s, file := find(strings.ToLower(strings.TrimPrefix(name, envPrefix)))
		if s == nil || name != strings.ToUpper(name) {
			faults = append(faults, fmt.Errorf("env %s: there is no such setting%s", cut(name), didYouMean(strings.TrimPrefix(name, envPrefix), func(name string) string { return envPrefix + strings.ToUpper(name) })))
			continue
		}
		values = append(values, given{setting: s, file: file, text: text, origin: "env " + name})
	}
	return values, faults
}

// find looks a setting up by its name in files. file reports that name is the
// one under which a secret's file is given.
func find(name string) (s *setting, file bool) {
	for i := range settings {
		switch s := &settings[i]; {
		case s.Name == name:
			return s, false
		case s.Secret && s.Name+"_file" == name:
			return s, true
		}
	}
	return nil, false
}

func fileNames() []string {
	var names []string
	for _, s := range settings {
		names = append(names, s.Name)
		if s.Secret {
			names = append(names, s.Name+"_file")
		}
	}
	return names
}

// didYouMean names the setting that name probably was to be, as its source spells it.
func didYouMean(name string, spelt func(string) string) string {
	if nearest := Nearest(name, fileNames()); nearest != "" {
		return "; did you mean " + spelt(nearest) + "?"
	}
	return ""
}

// file is a configuration file; name is what people know it by.
type file struct{ path, name string }

// maxFile bounds a configuration file, in bytes.
const maxFile = 64 << 10

// configFiles finds the files to read, the weakest first.
func configFiles(in Input) ([]file, error) {
	var files []file
	if folder := configHome(in.Environ); folder != "" {
		path := filepath.Join(folder, "telltale", "config.toml")
		if there, err := exists(path); err != nil {
			return nil, err
		} else if there {
			files = append(files, file{path, path})
		}
	}
	path, name := filepath.Join(in.Dir, "telltale.toml"), "./telltale.toml"
	if in.File != "" {
		path, name = in.File, in.File
		if !filepath.IsAbs(path) {
			path = filepath.Join(in.Dir, path)
		}
	}
	there, err := exists(path)
	switch {
	case err != nil:
		return nil, err
	case there:
		files = append(files, file{path, name})
	case in.File != "":
		return nil, fmt.Errorf("flag --config: %q; expected a file, and there is none", cut(in.File))
	}
	return files, nil
}

func exists(path string) (bool, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("file %s: %w", path, err)
	case info.IsDir():
		return false, fmt.Errorf("file %s: it is a folder; expected a file", path)
	}
	return true, nil
}

// configHome is the folder of the XDG Base Directory Specification, which says
// that a relative path in the variable is to be ignored.
func configHome(environ []string) string {
	var home string
	for _, entry := range environ {
		switch name, value, _ := strings.Cut(entry, "="); {
		case !filepath.IsAbs(value):
		case name == "XDG_CONFIG_HOME":
			return value
		case name == "HOME":
			home = filepath.Join(value, ".config")
		}
	}
	return home
}

// read gives the values in the file.
func (f file) read() (values []given, faults []error) {
	text, err := readBounded(f.path, maxFile)
	if err != nil {
		return nil, []error{fmt.Errorf("file %s: %w", f.name, err)}
	}
	return f.parse(text)
}

func (f file) parse(text []byte) (values []given, faults []error) {
	var table map[string]any
	if err := toml.Unmarshal(text, &table); err != nil {
		at := ""
		var decode *toml.DecodeError
		if errors.As(err, &decode) {
			line, column := decode.Position()
			at = fmt.Sprintf(", line %d, column %d", line, column)
		}
		reason := strings.Map(oneLine, strings.TrimPrefix(err.Error(), "toml: "))
		return nil, []error{fmt.Errorf("file %s%s: %s; expected TOML", f.name, at, reason)}
	}
	keys := make([]string, 0, len(table))
	for key := range table {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		origin := "file " + f.name + ":" + key
		s, isFile := find(key)
		if s == nil {
			faults = append(faults, fmt.Errorf("file %s:%s: there is no such setting%s", f.name, strings.Map(oneLine, cut(key)), didYouMean(key, func(name string) string { return name })))
			continue
		}
		kind := s.Kind
		value, ok := textOf(table[key], kind)
		if !ok {
			shown := fmt.Sprint(table[key])
			if s.Secret {
				shown = "(not shown)"
			}
			faults = append(faults, fmt.Errorf("%s: %q; expected %s, written as %s", origin, cut(shown), s.expect, kind))
			continue
		}
		values = append(values, given{setting: s, file: isFile, text: value, origin: origin})
	}
	return values, faults
}

func oneLine(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// String says how a kind is written in TOML.
func (k Kind) String() string {
	return [...]string{"a string in quotes", "true or false without quotes", "a number without quotes", "a list in square brackets"}[k]
}

// textOf gives a TOML value as flags and variables spell it.
func textOf(v any, kind Kind) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, kind == Text
	case bool:
		return strconv.FormatBool(v), kind == Bool
	case int64:
		return strconv.FormatInt(v, 10), kind == Number
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			switch item := item.(type) {
			case string:
				parts[i] = item
			case int64:
				parts[i] = strconv.FormatInt(item, 10)
			default:
				return "", false
			}
		}
		return strings.Join(parts, ","), kind == List
	}
	return "", false
}
