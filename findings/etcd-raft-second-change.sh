#!/usr/bin/env bash
# etcd's Raft library: a change of members that is proposed while another one is under way becomes an empty entry.
#
# Versions:  Debian golang-etcd-server-dev 3.4.23-4, golang-1.19-go 1.19.8-2 (bookworm, amd64). Seen 2026-11-30.
# Expected:  one change at a time is what Raft allows, so the second proposal is refused with an error, as a proposal
#            without a leader is, or it waits.
# Happens:   `ProposeConfChange` gives no error. An empty entry of the kind of a write goes into the log in its place,
#            is committed and applied, and is nothing; a line of the library's own log, at level Info, is all that
#            tells. Whoever adds two members one after the other has one, and an author who waits for the change to be
#            applied waits for ever. It has to be looked for in what is applied, and proposed again.
# Setup:     a node alone, which commits what it proposes. Two learners are added together, then the second one again.
#            Each line is the errors of the proposals, what was applied, and who is a learner then.
# Output:    2 and 3 together: errors <nil> <nil>, applied [add 2, empty entry], learners map[2:{}]
#            3 again: errors <nil>, applied [add 3], learners map[2:{} 3:{}]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for package in golang-etcd-server-dev=3.4.23-4 golang-1.19-go=1.19.8-2 golang-1.19-src=1.19.8-2 \
  golang-github-gogo-protobuf-dev golang-github-golang-protobuf-1-3-dev; do
  apt-get download -qq -o APT::Sandbox::User=root "$package"
  dpkg -x "${package%%=*}"_*.deb .
done
export GOROOT="$folder/usr/lib/go-1.19" GOPATH="$folder/usr/share/gocode" GOCACHE="$folder/cache" GO111MODULE=off

cat >finding.go <<'GO'
package main

import (
	"fmt"
	"io"
	"log"
	"strings"

	"go.etcd.io/etcd/raft"
	"go.etcd.io/etcd/raft/raftpb"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	quiet := &raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)}
	raft.SetLogger(quiet)
	storage := raft.NewMemoryStorage()
	node, err := raft.NewRawNode(&raft.Config{
		ID: 1, ElectionTick: 10, HeartbeatTick: 1, Storage: storage,
		MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 256, Logger: quiet,
	})
	check(err)
	check(node.Bootstrap([]raft.Peer{{ID: 1}}))

	// Stores, commits and applies what the node has ready.
	run := func() string {
		var applied []string
		for node.HasReady() {
			ready := node.Ready()
			check(storage.Append(ready.Entries))
			if !raft.IsEmptyHardState(ready.HardState) {
				check(storage.SetHardState(ready.HardState))
			}
			for _, entry := range ready.CommittedEntries {
				if entry.Type == raftpb.EntryConfChange {
					var change raftpb.ConfChange
					check(change.Unmarshal(entry.Data))
					node.ApplyConfChange(change)
					applied = append(applied, fmt.Sprint("add ", change.NodeID))
				} else if len(entry.Data) == 0 {
					applied = append(applied, "empty entry")
				}
			}
			node.Advance(ready)
		}
		return "[" + strings.Join(applied, ", ") + "], learners " + fmt.Sprint(node.Status().Config.Learners)
	}
	add := func(id uint64) error {
		return node.ProposeConfChange(raftpb.ConfChange{Type: raftpb.ConfChangeAddLearnerNode, NodeID: id})
	}
	run()
	check(node.Campaign())
	run()
	first, second := add(2), add(3)
	fmt.Printf("2 and 3 together: errors %v %v, applied %s\n", first, second, run())
	again := add(3)
	fmt.Printf("3 again: errors %v, applied %s\n", again, run())
}
GO
timeout 300 "$GOROOT/bin/go" run finding.go | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
2 and 3 together: errors <nil> <nil>, applied [add 2, empty entry], learners map[2:{}]
3 again: errors <nil>, applied [add 3], learners map[2:{} 3:{}]
EXPECTED
