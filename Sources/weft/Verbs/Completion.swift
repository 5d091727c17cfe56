// SPDX-License-Identifier: Apache-2.0
import WeftCommand

/// `weft completion`: verbs, options, files and the names of tunnels that are up.
enum Completion {
    static func run(_ arguments: [String]) throws(CommandFailure) {
        let arguments = try Arguments(arguments, of: .completion, operands: 1...1)
        switch arguments.operands[0] {
        case "bash": Console.printPage(bash)
        case "zsh": Console.printPage(zsh)
        case "fish": Console.printPage(fish)
        default: throw CommandFailure(usage: Help.usage(of: .completion))
        }
    }

    private static var verbs: String { Verb.allCases.map(\.rawValue).joined(separator: " ") }

    private static var mapVerbs: String { TunnelMapProgram.verbs.joined(separator: " ") }

    private static var bash: String {
        """
        _weft() {
            local current=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]}
            local running=$(for s in "${WEFT_RUNTIME_DIRECTORY:-/run/weft}"/*.sock; do [ -e "$s" ] || continue; s=${s##*/}; echo "${s%.sock}"; done 2>/dev/null)
            local files=$(for f in /etc/weft/*.conf; do [ -e "$f" ] || continue; f=${f##*/}; echo "${f%.conf}"; done 2>/dev/null)
            if [ "$COMP_CWORD" -eq 1 ]; then
                COMPREPLY=($(compgen -W "\(verbs) --version --help" -- "$current"))
                return
            fi
            case $verb in
                run) COMPREPLY=($(compgen -W "$files" -- "$current") $(compgen -f -c -- "$current")) ;;
                up | keyserve) COMPREPLY=($(compgen -W "$files --detach" -- "$current") $(compgen -f -- "$current")) ;;
                check) COMPREPLY=($(compgen -W "$files $running --json --against --live" -- "$current") $(compgen -f -- "$current")) ;;
                reload) COMPREPLY=($(compgen -W "$running" -- "$current")) ;;
                stun) COMPREPLY=($(compgen -W "--json" -- "$current")) ;;
                identify) COMPREPLY=($(compgen -W "--json" -- "$current") $(compgen -f -- "$current")) ;;
                down) COMPREPLY=($(compgen -W "$running --keep-guard" -- "$current")) ;;
                show) COMPREPLY=($(compgen -W "$running --json --networks" -- "$current")) ;;
                genkey) COMPREPLY=($(compgen -W "--force --manual" -- "$current") $(compgen -f -- "$current")) ;;
                pubkey) COMPREPLY=($(compgen -f -- "$current")) ;;
                keys) COMPREPLY=($(compgen -W "adopt $files" -- "$current") $(compgen -f -- "$current")) ;;
                tunnel-map)
                    if [ "$COMP_CWORD" -eq 2 ]; then
                        COMPREPLY=($(compgen -W "\(mapVerbs)" -- "$current"))
                        return
                    fi
                    local maps=$(ls /sys/fs/bpf/weft "${WEFT_RUNTIME_DIRECTORY:-/run/weft}/bpf/weft" 2>/dev/null | grep -v :)
                    case ${COMP_WORDS[2]} in
                        run) COMPREPLY=($(compgen -W "--etcd --prefix --cacert --cert --key --user-file --insecure" -- "$current") $(compgen -f -- "$current")) ;;
                        show) COMPREPLY=($(compgen -W "$maps --json" -- "$current")) ;;
                        lookup) COMPREPLY=($(compgen -W "--name --json" -- "$current")) ;;
                        drain) COMPREPLY=($(compgen -W "--off --name" -- "$current")) ;;
                        down) COMPREPLY=($(compgen -W "$maps" -- "$current")) ;;
                    esac ;;
                help) COMPREPLY=($(compgen -W "\(verbs) drops" -- "$current")) ;;
                completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$current")) ;;
            esac
        }
        complete -F _weft weft
        """
    }

    private static var zsh: String {
        """
        #compdef weft
        _weft() {
            local -a running files
            running=(${WEFT_RUNTIME_DIRECTORY:-/run/weft}/*.sock(N:t:r))
            files=(/etc/weft/*.conf(N:t:r))
            if (( CURRENT == 2 )); then
                compadd -- \(verbs) --version --help
                return
            fi
            case $words[2] in
                up|keyserve) compadd -- $files --detach; _files ;;
                check) compadd -- $files $running --json --against --live; _files ;;
                down) compadd -- $running --keep-guard ;;
                reload) compadd -- $running ;;
                stun) compadd -- --json ;;
                identify) compadd -- --json; _files ;;
                show) compadd -- $running --json --networks ;;
                genkey) compadd -- --force --manual; _files ;;
                pubkey) _files ;;
                keys) compadd -- adopt $files; _files ;;
                tunnel-map)
                    if (( CURRENT == 3 )); then
                        compadd -- \(mapVerbs)
                        return
                    fi
                    case $words[3] in
                        run) compadd -- --etcd --prefix --cacert --cert --key --user-file --insecure; _files ;;
                        show) compadd -- --json ;;
                        lookup) compadd -- --name --json ;;
                        drain) compadd -- --off --name ;;
                    esac ;;
                help) compadd -- \(verbs) drops ;;
                completion) compadd -- bash zsh fish ;;
            esac
        }
        compdef _weft weft
        """
    }

    private static var fish: String {
        """
        set -l running '(for s in /run/weft/*.sock; string replace -r ".*/(.*).sock" "\\$1" $s; end)'
        set -l files '(for f in /etc/weft/*.conf; string replace -r ".*/(.*).conf" "\\$1" $f; end)'
        complete -c weft -n __fish_use_subcommand -f -a '\(verbs)'
        complete -c weft -n '__fish_seen_subcommand_from up keyserve' -a "$files"
        complete -c weft -n '__fish_seen_subcommand_from up keyserve' -l detach
        complete -c weft -n '__fish_seen_subcommand_from check' -a "$files"
        complete -c weft -n '__fish_seen_subcommand_from down show reload' -f -a "$running"
        complete -c weft -n '__fish_seen_subcommand_from check' -l against -l live
        complete -c weft -n '__fish_seen_subcommand_from check show stun identify' -l json
        complete -c weft -n '__fish_seen_subcommand_from show' -l networks
        complete -c weft -n '__fish_seen_subcommand_from down' -l keep-guard
        complete -c weft -n '__fish_seen_subcommand_from stun' -f
        complete -c weft -n '__fish_seen_subcommand_from genkey' -l force
        complete -c weft -n '__fish_seen_subcommand_from genkey' -l manual
        complete -c weft -n '__fish_seen_subcommand_from keys' -a "adopt $files"
        complete -c weft -n '__fish_seen_subcommand_from tunnel-map' -a '\(mapVerbs)'
        complete -c weft -n '__fish_seen_subcommand_from tunnel-map' -l etcd -l prefix -l cacert -l cert -l key -l user-file -l insecure -l name -l json -l off
        complete -c weft -n '__fish_seen_subcommand_from help' -f -a '\(verbs) drops'
        complete -c weft -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'
        """
    }
}
