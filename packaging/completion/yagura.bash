# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
# bash completion of yagura. Made by tools/gen-completion from the program's own table; do not edit.

_yagura() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} at word words='' options
	local -a said=()
	options='--json --lang --root --url --key --ca --config --help --version'
	for ((at = 1; at < COMP_CWORD; at++)); do
		word=${COMP_WORDS[at]}
		case $word in
		--bundle|--ca|--computer|--computers|--config|--daily|--every|--format|--from|--hourly|--id|--key|--kind|--lang|--level|--limit|--missed|--mode|--name|--out|--parent|--paths|--pins|--policy|--relay-group|--role|--root|--text|--to|--token|--url|--uses|--valid|--weekdays|--weekly|--window|--zone) ((at++)) ;;
		-*) ;;
		*) said+=("$word") ;;
		esac
	done
	case $previous in
	--root|--ca|--config|--bundle|--out) mapfile -t COMPREPLY < <(compgen -f -- "$current") && return ;;
	--lang) mapfile -t COMPREPLY < <(compgen -W 'en ja' -- "$current") && return ;;
	--bundle|--ca|--computer|--computers|--config|--daily|--every|--format|--from|--hourly|--id|--key|--kind|--lang|--level|--limit|--missed|--mode|--name|--out|--parent|--paths|--pins|--policy|--relay-group|--role|--root|--text|--to|--token|--url|--uses|--valid|--weekdays|--weekly|--window|--zone) COMPREPLY=() && return ;;
	esac
	case "${said[*]}" in
	'agent activate' | 'agent activate '*) options+=' --token --name' ;;
	'agent update' | 'agent update '*) options+=' --bundle' ;;
	'agent events' | 'agent events '*) options+=' --limit' ;;
	'agent log' | 'agent log '*) options+=' --role --level --limit' ;;
	'agent log-level' | 'agent log-level '*) options+=' --role' ;;
	'agent diagnostic-package' | 'agent diagnostic-package '*) options+=' --out' ;;
	'diagnose' | 'diagnose '*) options+=' --log --manager --network-plan --format --out --support' ;;
	'log' | 'log '*) options+=' --role --level --limit' ;;
	'diagnostic-package' | 'diagnostic-package '*) options+=' --out' ;;
	'update' | 'update '*) options+=' --computers --relays --no-relays --scheduled --wait' ;;
	'rollback' | 'rollback '*) options+=' --wait' ;;
	'release-hold' | 'release-hold '*) options+=' --wait' ;;
	'scan' | 'scan '*) options+=' --wait' ;;
	'events' | 'events '*) options+=' --computer --id --level --text --from --to --limit --support' ;;
	'jobs cancel' | 'jobs cancel '*) options+=' --wait' ;;
	'jobs' | 'jobs '*) options+=' --support' ;;
	'test' | 'test '*) options+=' --from' ;;
	'tokens create' | 'tokens create '*) options+=' --name --uses --valid --policy --relay-group --no-relay' ;;
	'keys create' | 'keys create '*) options+=' --role' ;;
	'relay-groups create' | 'relay-groups create '*) options+=' --parent --default' ;;
	'relay-groups set' | 'relay-groups set '*) options+=' --name --parent --default' ;;
	'alerts' | 'alerts '*) options+=' --all' ;;
	'tasks create' | 'tasks create '*) options+=' --every --hourly --daily --weekly --weekdays --zone --kind --computers --relay-group --policy --all-computers --paths --window --missed --no-relays --enable --disable' ;;
	'tasks set' | 'tasks set '*) options+=' --every --hourly --daily --weekly --weekdays --zone --kind --computers --relay-group --policy --all-computers --paths --window --missed --no-relays --enable --disable --name' ;;
	'content set' | 'content set '*) options+=' --mode --pins' ;;
	'policies set' | 'policies set '*) options+=' --name' ;;
	'policies send' | 'policies send '*) options+=' --wait' ;;
	esac
	if [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
	elif ((${#said[@]} == 0)); then
		mapfile -t COMPREPLY < <(compgen -W 'agent alerts components computers content diagnose diagnostic-package events expiry jobs keys licences log policies relay-groups relays release-hold rollback scan settings status tasks test tokens update' -- "$current")
	elif ((${#said[@]} == 1)); then
		case ${said[0]} in
		agent) words='activate components diagnostic-package events log log-level release-hold repair rollback scan status test update' ;;
		computers) words='delete' ;;
		content) words='set' ;;
		jobs) words='cancel' ;;
		keys) words='create delete' ;;
		licences) words='add add-key remove' ;;
		policies) words='assign delete send set show' ;;
		relay-groups) words='assign create delete set' ;;
		relays) words='address off on own' ;;
		tasks) words='create delete run set' ;;
		tokens) words='create delete' ;;
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
complete -o filenames -F _yagura yagura
