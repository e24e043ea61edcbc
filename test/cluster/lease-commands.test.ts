/** Transactions, leases and locks as commands, against a real node. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Cluster from "./Cluster.ts"
import { run } from "./Flaredb.ts"

it.live("transactions, leases and locks on the command line", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(1)
    yield* Cluster.start(cluster)
    const flaredb = (...args: ReadonlyArray<string>) =>
      run([...args], { env: { FLAREDB_ENDPOINTS: cluster.endpointList } })
    const json = (...args: ReadonlyArray<string>) =>
      Effect.map(flaredb(...args, "--json"), ({ code, err, out }) => {
        assert.strictEqual(code, 0, err)
        return JSON.parse(out)
      })
    const create = ["txn", "--if", "missing a", "--do", "put a \"one two\"", "--else", "get a"]
    assert.deepInclude(yield* json(...create), {
      succeeded: true,
      results: [{ revision: 1, created: true, version: 1 }]
    })
    const again = yield* json(...create)
    assert.isFalse(again.succeeded)
    assert.deepInclude(again.results[0], { key: "a", value: "one two", version: 1 })
    const piped = yield* run(["txn", "-", "--json"], {
      env: { FLAREDB_ENDPOINTS: cluster.endpointList },
      stdin: JSON.stringify({ if: [["value", "a", "=", "one two"]], do: [["scan", ""], ["delete", "a"]] })
    })
    assert.strictEqual(JSON.parse(piped.out).results[0].entries[0].key, "a", piped.err)

    const { id } = yield* json("lease", "grant", "60s")
    yield* json("put", "leased", "1", "--lease", String(id))
    assert.deepInclude(yield* json("lease", "ttl", String(id)), { id, ttlMs: 60_000, keys: ["leased"] })
    assert.deepInclude(yield* json("lease", "list"), { id, keys: 1 })
    yield* json("lease", "keep-alive", String(id), "--once")
    assert.deepStrictEqual(yield* json("lease", "revoke", String(id)), { id, deleted: 1 })
    const gone = yield* flaredb("lease", "ttl", String(id))
    assert.strictEqual(gone.code, 1)
    assert.match(gone.err, /has ended/)

    const exits = yield* flaredb(
      "lock",
      "job",
      "--",
      process.execPath,
      "-e",
      "process.exit(Number(process.env.FLAREDB_LOCK_REVISION) > 0 ? 7 : 1)"
    )
    assert.deepStrictEqual(exits, { code: 7, out: "", err: "" })
    const missing = yield* flaredb("lock", "job", "--", "no-such-program")
    assert.strictEqual(missing.code, 127)
    assert.match(missing.err, /^flaredb: no-such-program: /)
  }).pipe(Effect.provide(NodeServices.layer)))
