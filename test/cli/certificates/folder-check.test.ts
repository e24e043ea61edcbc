import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Result } from "effect"
import { TestClock } from "effect/testing"
import { chmodSync, mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { makeAuthority } from "../../../src/certificates/Authority.ts"
import { checkFolder } from "../../../src/cli/certificates/FolderCheck.ts"
import type { CheckOptions } from "../../../src/cli/certificates/FolderCheck.ts"
import type { NodeAddress } from "../../../src/config/NodeAddress.ts"
import { client, issueOdd, leafExtensions, makeKit, node } from "../../certificates/Kit.ts"
import { nowMs, putAuthority, putHolder, temporaryFolder, write } from "./Folders.ts"

const dayMs = 86_400_000

const address = (id: number, host: string): NodeAddress => ({ id, host, clientPort: 1, peerPort: 2, httpPort: 3 })

/** What is wrong with a folder, one line each, without the path of the temporary folder. */
const problemsOf = Effect.fnUntraced(function*(root: string, folder: string, options: Partial<CheckOptions> = {}) {
  yield* TestClock.setTime(options.nowMs ?? nowMs)
  const found = yield* checkFolder(folder, {
    nodes: undefined,
    node: undefined,
    cluster: undefined,
    expiresWithinMs: 0,
    nowMs,
    ...options
  })
  return found.problems.map(({ advice, file, problem }) => `${file}: ${problem}; ${advice}`.replaceAll(`${root}/`, ""))
})

const makeFolder = Effect.map(temporaryFolder, (root) => {
  const authority = putAuthority(root)
  return {
    root,
    authority,
    one: putHolder(root, authority, node(1, "prod"), ["db1", "10.0.0.1"]),
    admin: putHolder(root, authority, client("admin", "prod"))
  }
})

describe("the check of a folder of certificates", () => {
  it.effect("finds nothing in what the commands make", () =>
    Effect.gen(function*() {
      const { admin, one, root } = yield* makeFolder
      const nodes = [address(1, "db1")]
      assert.deepStrictEqual(yield* problemsOf(root, root, { nodes, cluster: "prod" }), [])
      assert.deepStrictEqual(yield* problemsOf(root, one.folder, { nodes, cluster: "prod", node: 1 }), [])
      assert.deepStrictEqual(yield* problemsOf(root, admin.folder), [])
      rmSync(join(root, "ca.key"))
      assert.deepStrictEqual(yield* problemsOf(root, root), [], "the key of the authority belongs elsewhere")
    }))

  it.effect("misses the certificate of the node that is asked for, in the folder of an authority too", () =>
    Effect.gen(function*() {
      const { root } = yield* makeFolder
      const missing = [": node 2 has no certificate here; issue one with flaredb cert node 2"]
      assert.deepStrictEqual(yield* problemsOf(root, root, { node: 1 }), [])
      const found = yield* problemsOf(root, root, { node: 2 })
      assert.deepStrictEqual(found.map((line) => line.replace(root, "")), missing)
      const nodes = [address(1, "db1"), address(2, "db2")]
      assert.lengthOf(yield* problemsOf(root, root, { node: 2, nodes }), 1, "said once")
    }))

  it.effect("names files that are missing", () =>
    Effect.gen(function*() {
      const { one, root } = yield* makeFolder
      rmSync(one.key)
      rmSync(one.authorities)
      assert.deepStrictEqual(yield* problemsOf(root, one.folder), [
        "node-1/ca.crt: there is no such file; copy the folder that flaredb cert node ID wrote",
        "node-1/node.key: there is no such file; copy the folder that flaredb cert node ID wrote"
      ])
      mkdirSync(join(root, "empty"))
      assert.lengthOf(yield* problemsOf(root, join(root, "empty")), 3)
    }))

  it.effect("names a wrong mode and what it would hide", () =>
    Effect.gen(function*() {
      const { one, root } = yield* makeFolder
      chmodSync(one.key, 0o644)
      const other = putHolder(root, putAuthority(root), node(2, "prod"), ["db2"])
      write(one.certificate, "garbage")
      chmodSync(join(root, "ca.key"), 0o640)
      assert.deepStrictEqual(yield* problemsOf(root, one.folder), [
        `node-1/node.key: others than its owner may read the key (mode 644); run chmod 600 ${one.key}`
          .replace(`${root}/`, ""),
        "node-1/node.crt: it holds no certificate in PEM form; make one with flaredb cert node ID"
      ])
      assert.deepStrictEqual(yield* problemsOf(root, other.folder), [])
      assert.include(
        (yield* problemsOf(root, root)).join("\n"),
        "ca.key: others than its owner may read the key (mode 640); run chmod 600 ca.key"
      )
    }))

  it.effect("names a pair that is none, a foreign authority, and a wrong owner", () =>
    Effect.gen(function*() {
      const { admin, authority, one, root } = yield* makeFolder
      const other = Result.getOrThrow(makeAuthority({ cluster: "prod", nowMs }))
      write(one.key, Redacted.value(other.key))
      assert.match((yield* problemsOf(root, one.folder)).join(), /node.key: the key is not the one of node-1\/node.crt/)
      write(admin.authorities, other.certificate)
      assert.match((yield* problemsOf(root, admin.folder)).join(), /client admin was issued by no authority of/)
      write(join(root, "ca.key"), Redacted.value(other.key))
      assert.match((yield* problemsOf(root, root)).join("\n"), /^ca.key: it is not the key of ca.crt/)
      const two = putHolder(root, authority, node(2, "prod"), ["db2"])
      assert.match(
        (yield* problemsOf(root, two.folder, { node: 3 })).join(),
        /is the certificate of node 2, and .* node 3/
      )
      assert.match(
        (yield* problemsOf(root, two.folder, { cluster: "x" })).join(),
        /is of the cluster prod, and this is x/
      )
    }))

  it.effect("names hosts by which the others dial and that are not in it", () =>
    Effect.gen(function*() {
      const { one, root } = yield* makeFolder
      assert.deepStrictEqual(yield* problemsOf(root, one.folder, { nodes: [address(1, "10.0.0.1")] }), [])
      assert.deepStrictEqual(yield* problemsOf(root, one.folder, { nodes: [address(1, "10.0.0.2")] }), [
        "node-1/node.crt: it is not valid for 10.0.0.2, by which the others dial node 1, but for db1, 10.0.0.1; issue it " +
        "again with flaredb cert node 1 --host 10.0.0.2,db1,10.0.0.1 --overwrite"
      ])
      const nodes = [address(2, "db2"), address(3, "db3")]
      const found = yield* problemsOf(root, root, { nodes })
      assert.match(found[0] ?? "", /node 1 is not among the nodes 2, 3/)
      assert.match(found[1] ?? "", /node 2 has no certificate here; issue one with flaredb cert node 2 --host db2/)
      assert.lengthOf(found, 3)
    }))

  it.effect("names what has ended, and what ends soon when asked", () =>
    Effect.gen(function*() {
      const { one, root } = yield* makeFolder
      const soon = yield* problemsOf(root, one.folder, { expiresWithinMs: 31 * dayMs })
      assert.match(
        soon.join("\n"),
        /^node-1\/node.crt: the certificate of node 1 ends on 2026-07-01T12:00:00Z; renew it/
      )
      const past = nowMs + 31 * dayMs
      const over = yield* problemsOf(root, one.folder, { nowMs: past })
      assert.deepStrictEqual(over, [
        "node-1/node.crt: the certificate of node 1 expired on 2026-07-01; renew it with flaredb cert node 1 --overwrite"
      ])
      const last = yield* problemsOf(root, root, { nowMs: nowMs + 101 * dayMs })
      assert.match(last[0] ?? "", /^ca.crt: the authority O=prod.* expired on 2026-09-09.*rotate-ca begin/)
      const ending = yield* problemsOf(root, root, { expiresWithinMs: 101 * dayMs })
      assert.match(ending[0] ?? "", /^ca.crt: the authority O=prod.* ends on 2026-09-09/)
    }))

  it.effect("names a use that the other side refuses", () =>
    Effect.gen(function*() {
      const { authority, one, root } = yield* makeFolder
      const names = [{ uri: "flaredb://prod/node/1" }, { dns: "db1" }]
      const odd = issueOdd(authority, leafExtensions(names, "serverAuth"), nowMs)
      write(one.certificate, odd.certificate)
      write(one.key, Redacted.value(odd.key))
      assert.match(
        (yield* problemsOf(root, one.folder)).join("\n"),
        /extended key usage lacks clientAuth: the other side/
      )
      const kit = makeKit(nowMs)
      const quoted = kit.quotedName()
      write(one.certificate, quoted.certificate)
      write(one.key, Redacted.value(quoted.key))
      write(one.authorities, kit.authority.certificate)
      assert.match((yield* problemsOf(root, one.folder)).join("\n"), /characters that no name here has/)
    }))
})
