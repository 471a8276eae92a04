package main

import (
	"github.com/spf13/cobra"
)

func (p *program) completion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "print a script that completes commands in your shell",
		Example: `  telltale completion bash > /etc/bash_completion.d/telltale
  telltale completion zsh > "${fpath[1]}/_telltale"
  telltale completion fish > ~/.config/fish/completions/telltale.fish`,
		Args:      args("SHELL"),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(p.stdout, true)
			case "zsh":
				return root.GenZshCompletion(p.stdout)
			case "fish":
				return root.GenFishCompletion(p.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(p.stdout)
			}
			return usage("there is no completion for %q; expected bash, zsh, fish or powershell", args[0])
		},
	}
}
