/**
 * The guide in `docs/three-machines.md`, step by step, on machines of namespaces: from nothing to a cluster with TLS,
 * roles and backups, a node that is killed and one that is away, and a restored cluster.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { Machine } from "./Machines.ts"
import { make, whyNot } from "./Machines.ts"

const root = join(import.meta.dirname, "../../..")
const document = "docs/three-machines.md"

interface Block {
  /** On which machines it runs. */
  readonly place: string
  readonly commands: string
  readonly line: number
}

/** The blocks of commands of a document, in order. */
const blocksOf = (text: string): ReadonlyArray<Block> =>
  [...text.matchAll(/^```sh(.*)\n([\s\S]*?)^```$/gm)].map(({ 1: place = "", 2: commands = "", index }) => ({
    place: place.trim(),
    commands,
    line: text.slice(0, index).split("\n").length
  }))

/** What runs elsewhere: the repository is there already, and there is no Kubernetes. */
const notHere = new Set(["install", "kubernetes"])

const numbers = [1, 2, 3]

/** What has to be printed by the block that begins with, or contains, these words. */
const expected: ReadonlyArray<readonly [words: string, printed: RegExp]> = [
  [`put greeting "hello, world"`, /leader[\s\S]*created at revision [\s\S]*hello, world/],
  ["access role put orders", /user backup is set\ncreated at revision/],
  ["prometheus/client.key https", /ok: .*\nok: .*\nok: /],
  ["enable --now flaredb-backups\n", /production-\d{8}T\d{6}Z-r\d+\.flaredb\n/],
  ["backups verify", /sha256[\s\S]*\nflaredb_backup_newest_timestamp_seconds/i],
  ["is-active flaredb@3", /active\n/],
  [`put greeting "two of three"`, /updated at revision [\s\S]*10\.0\.0\.3:7001 .*no process listens there/],
  ["flaredb verify\n", /(equal[\s\S]*){3}/],
  ["transfer-leader", /2/],
  ["--cluster-id production-2", /node \d of the new cluster production-2, from cluster production/],
  ["certs-2/client-admin", /cluster production-2, [\s\S]*(equal[\s\S]*){3}hello, world\n$/]
]

const skipped = whyNot()
if (skipped !== undefined) console.warn(`guide.test.ts is skipped: ${skipped}`)

it.live.skipIf(skipped !== undefined)("carries out the guide to three machines", () =>
  Effect.gen(function*() {
    const blocks = blocksOf(readFileSync(join(root, document), "utf8"))
    const machines = yield* make([...numbers.map((number) => `10.0.0.${number}`), "10.0.0.10"])
    const [nodes, yours] = [machines.slice(0, 3), machines[3] as Machine]
    const places: Readonly<Record<string, ReadonlyArray<readonly [Machine, string]>>> = {
      all: machines.map((machine) => [machine, ""]),
      each: nodes.map((machine, i) => [machine, `${i + 1}`]),
      yours: [[yours, ""]],
      ...Object.fromEntries(nodes.map((machine, i) => [`node-${i + 1}`, [[machine, `${i + 1}`]]]))
    }
    // A reader's shell remembers what was exported.
    let exported = ""
    const left = new Set(expected.map(([words]) => words))
    for (const { commands, line, place } of blocks) {
      if (notHere.has(place)) continue
      const on = places[place]
      if (on === undefined) return assert.fail(`${document}:${line} is to run on "${place}", which is no machine`)
      const where = `${document}:${line}`
      const printed = yield* Effect.forEach(on, ([machine, number]) => {
        const own = commands.replace(/^N=1 .*$/m, `N=${number}`)
        assert.isTrue(
          place !== "each" || own !== commands || number === "1",
          `${where} does not say which machine it is`
        )
        return Effect.map(machine.run(`${exported}${own}`), (ran) => {
          assert.strictEqual(ran.code, 0, `${where} on ${machine.address}:\n${ran.printed}`)
          return ran.printed
        })
      }, { concurrency: "unbounded" })
      exported += (commands.match(/^export .*\n/gm) ?? []).join("")
      for (const [words, pattern] of expected) {
        if (!commands.includes(words)) continue
        left.delete(words)
        for (const each of printed) assert.match(each, pattern, where)
      }
    }
    assert.deepStrictEqual([...left], [], "each expectation belongs to a block")
    // What the guide made beside the cluster.
    const prometheus = "/etc/prometheus/prometheus.yml"
    const made = yield* yours.run(`grep --count '10.0.0.[123]:7201' ${prometheus}
grep --files-with-matches flaredb_raft_term node-*.metrics | wc --lines
! command -v promtool >/dev/null || promtool check config ${prometheus}`)
    assert.strictEqual(made.code, 0, made.printed)
    assert.match(made.printed, /^3\n3\n/)
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
