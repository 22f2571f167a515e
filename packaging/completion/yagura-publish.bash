# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# bash completion of yagura-publish. Made by tools/gen-completion from the program's own table; do not edit.

_yagura_publish() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} at word words='' options
	local -a said=()
	options='--json --lang --help'
	for ((at = 1; at < COMP_CWORD; at++)); do
		word=${COMP_WORDS[at]}
		case $word in
		--abi-max|--abi-min|--add|--component|--days|--delta-time|--deltas|--description|--ends|--format|--from|--if-due|--keep|--key|--key-type|--keys|--lang|--level|--limit|--max-shrink|--name|--new-key-dir|--new-passphrase-file|--now|--out|--passphrase-file|--public-key|--reason|--role|--role-keys|--root|--root-days|--root-key-dir|--root-keys|--root-passphrase-file|--sample-find|--sample-pass|--since|--snapshot-days|--targets-days|--threshold|--timestamp-days|--token|--version|--warn-days|--wave|--waves) ((at++)) ;;
		-*) ;;
		*) said+=("$word") ;;
		esac
	done
	case $previous in
	--keys|--passphrase-file|--root-key-dir|--root-passphrase-file|--public-key|--out|--new-key-dir|--new-passphrase-file|--add|--sample-find|--sample-pass|--root) mapfile -t COMPREPLY < <(compgen -f -- "$current") && return ;;
	--lang) mapfile -t COMPREPLY < <(compgen -W 'en ja' -- "$current") && return ;;
	--abi-max|--abi-min|--add|--component|--days|--delta-time|--deltas|--description|--ends|--format|--from|--if-due|--keep|--key|--key-type|--keys|--lang|--level|--limit|--max-shrink|--name|--new-key-dir|--new-passphrase-file|--now|--out|--passphrase-file|--public-key|--reason|--role|--role-keys|--root|--root-days|--root-key-dir|--root-keys|--root-passphrase-file|--sample-find|--sample-pass|--since|--snapshot-days|--targets-days|--threshold|--timestamp-days|--token|--version|--warn-days|--wave|--waves) COMPREPLY=() && return ;;
	esac
	case "${said[*]}" in
	'init' | 'init '*) options+=' --keys --passphrase-file --key-type --root-keys --threshold --root-key-dir --root-passphrase-file --plain-keys --public-key --role-keys --out --root-days --targets-days --snapshot-days --timestamp-days --now' ;;
	'make-key' | 'make-key '*) options+=' --key-type --plain-keys --new-key-dir --new-passphrase-file --token' ;;
	'keys' | 'keys '*) options+=' --keys --passphrase-file --root-key-dir --root-passphrase-file' ;;
	'rotate-key' | 'rotate-key '*) options+=' --keys --passphrase-file --key-type --threshold --root-key-dir --root-passphrase-file --plain-keys --public-key --key --new-key-dir --new-passphrase-file --out --root-days --targets-days --snapshot-days --timestamp-days --now' ;;
	'revoke-key' | 'revoke-key '*) options+=' --keys --passphrase-file --key-type --threshold --root-key-dir --root-passphrase-file --plain-keys --public-key --new-key-dir --new-passphrase-file --drop --out --root-days --targets-days --snapshot-days --timestamp-days --now' ;;
	'sign-root' | 'sign-root '*) options+=' --keys --passphrase-file --root-key-dir --root-passphrase-file --out' ;;
	'add-root' | 'add-root '*) options+=' --keys --passphrase-file --root-key-dir --root-passphrase-file --root-days --targets-days --snapshot-days --timestamp-days --now' ;;
	'release' | 'release '*) options+=' --keys --passphrase-file --root-key-dir --root-passphrase-file --from --add --version --description --sample-find --sample-pass --abi-min --abi-max --level --deltas --wave --waves --delta-time --keep --root-days --targets-days --snapshot-days --timestamp-days --now' ;;
	'import' | 'import '*) options+=' --keys --passphrase-file --root-key-dir --root-passphrase-file --version --description --sample-find --sample-pass --abi-min --abi-max --level --deltas --wave --waves --delta-time --keep --dry-run --format --unsigned --max-shrink --force --out --root-days --targets-days --snapshot-days --timestamp-days --now' ;;
	'diff' | 'diff '*) options+=' --limit' ;;
	'wave' | 'wave '*) options+=' --keys --passphrase-file --root-key-dir --root-passphrase-file --wave --waves --all --pause --root-days --targets-days --snapshot-days --timestamp-days --now' ;;
	'withdraw' | 'withdraw '*) options+=' --keys --passphrase-file --root-key-dir --root-passphrase-file --reason --root-days --targets-days --snapshot-days --timestamp-days --now' ;;
	'resign' | 'resign '*) options+=' --keys --passphrase-file --root-key-dir --root-passphrase-file --role --if-due --out --root-days --targets-days --snapshot-days --timestamp-days --now' ;;
	'show' | 'show '*) options+=' --root --now' ;;
	'prune' | 'prune '*) options+=' --keys --passphrase-file --root-key-dir --root-passphrase-file --keep --days --dry-run --root-days --targets-days --snapshot-days --timestamp-days --now' ;;
	'verify' | 'verify '*) options+=' --warn-days --deep --root --now' ;;
	'bundle' | 'bundle '*) options+=' --keys --passphrase-file --root-key-dir --root-passphrase-file --from --component --since --unpack --root --out --root-days --targets-days --snapshot-days --timestamp-days --now' ;;
	'trust' | 'trust '*) options+=' --out' ;;
	'make-licence' | 'make-licence '*) options+=' --keys --passphrase-file --out --now --name --ends' ;;
	esac
	if [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
	elif ((${#said[@]} == 0)); then
		mapfile -t COMPREPLY < <(compgen -W 'add-root bundle diff import init keys make-key make-licence prune release resign revoke-key rotate-key show show-root sign-root trust verify wave withdraw' -- "$current")
	elif ((${#said[@]} == 1)); then
		case ${said[0]} in
		esac
		if [[ $words ]]; then
			mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
		else
			mapfile -t COMPREPLY < <(compgen -f -- "$current")
		fi
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
	fi
}
complete -o filenames -F _yagura_publish yagura-publish
