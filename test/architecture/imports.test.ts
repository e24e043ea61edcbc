import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { circles } from "./Circles.ts"
import { importsOf, violations } from "./Imports.ts"

const source = join(import.meta.dirname, "../../src")
const tree = readdirSync(source, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => ({ path, text: readFileSync(join(source, path), "utf8") }))

describe("the source tree", () => {
  it("is there", () => {
    assert.isAbove(tree.length, 30)
    assert.isAbove(tree.flatMap((file) => importsOf(file.text)).length, 100)
  })

  it("imports downwards only, and keeps what it touches in named places", () => {
    assert.deepEqual(violations(tree), [])
  })

  it("imports in no circles, types included", () => {
    assert.deepEqual(circles(tree), [])
  })
})

describe("the search for circles", () => {
  const file = (path: string, ...targets: ReadonlyArray<string>) => ({
    path,
    text: targets.map((target) => `import type { T } from "${target}"\n`).join("")
  })

  it("finds each circle once, and no file that only leads to one", () => {
    const files = [
      file("a/One.ts", "./Two.ts", "../b/Three.ts"),
      file("a/Two.ts", "./One.ts"),
      file("b/Three.ts", "./Four.ts"),
      file("b/Four.ts", "./Five.ts"),
      file("b/Five.ts", "./Three.ts", "effect"),
      file("c/Six.ts", "../a/One.ts")
    ]
    assert.sameDeepMembers([...circles(files)], [["a/One.ts", "a/Two.ts"], ["b/Five.ts", "b/Four.ts", "b/Three.ts"]])
    assert.deepEqual(circles(files.filter(({ path }) => !/Two|Four/.test(path))), [])
  })
})

describe("the checker", () => {
  it("reads every form of import", () => {
    const text = `
/**
 * import { no } from "comment"
 */
import first from "a"
import type { T } from "b"
import * as third from 'c'
import {
  many,
  type Names
} from "d"
import "e"
export * from "f"
export type { U } from "g"
// import { no } from "line"
const late = () => import("h")
export const from = "nowhere"
`
    assert.deepEqual(importsOf(text), ["a", "b", "c", "d", "e", "f", "g", "h"])
  })

  const importing = (specifier: string) => `import { thing } from "${specifier}"\n`

  it.each([
    ["raft/Raft.ts", importing("effect"), "pure raft/ imports effect"],
    ["raft/Raft.ts", importing("../kv/model/Command.ts"), "raft imports kv/model/Command.ts: kv/model is not below it"],
    ["raft/Raft.ts", importing("../FlareDbError.ts"), "pure raft/ imports FlareDbError.ts"],
    ["raft/Raft.ts", importing("node:fs"), "pure raft/ imports node:fs"],
    ["raft/Raft.ts", "const now = Date.now()", "pure raft/ uses Date.now"],
    ["kv/model/Apply.ts", "const dice = Math.random()", "pure kv/model/ uses Math.random"],
    [
      "kv/model/Apply.ts",
      importing("../../raft/Log.ts"),
      "may take only raft/Types.ts and bytes/ from outside, not raft/Log.ts"
    ],
    ["storage/LogStore.ts", importing("../transport/PeerTransport.ts"), "transport is not below it"],
    ["timer/RaftTimer.ts", importing("../node/RaftNode.ts"), "node is not below it"],
    ["FlareDbError.ts", importing("./node/RaftNode.ts"), "a leaf imports node/RaftNode.ts"],
    ["storage/DataDir.ts", importing("rocksdb-native"), "imports rocksdb-native, which only storage/rocksdb/"],
    [
      "node/RaftNode.ts",
      importing("@effect/platform-node/NodeSocket"),
      "which only net/ServerProtocol.ts, net/TcpServer.ts"
    ],
    ["node/RaftNode.ts", importing("effect/rpc"), "imports effect/rpc, which only"],
    ["client/KeyValue.ts", importing("effect/persistence"), "imports effect/persistence, which only actors/, testing/"],
    [
      "actors/Rows.ts",
      importing("../kv/model/Limits.ts"),
      "actors/ stands on client/ alone, not on kv/model/Limits.ts"
    ],
    ["node/RaftNode.ts", importing("effect/workers"), "imports effect/workers, which only nobody may"],
    [
      "client/connection/RemoteClient.ts",
      importing("node:net"),
      "imports node:net, which only cli/"
    ],
    ["net/TcpClient.ts", importing("node:dns"), "imports node:dns, which only net/NameService.ts may"],
    ["node/RaftNode.ts", "console.log(1)", "writes to the console"],
    [
      "node/RaftNode.ts",
      `import { Console, Effect } from "effect"`,
      "prints through Console, which only cli/output/Output.ts and cli/output/Messages.ts may"
    ],
    ["node/utils.ts", "", "is not named after what it holds"],
    ["node/RaftNode.ts", ["// TO", "DO: later"].join(""), "leaves something to be done"],
    ["elsewhere/Thing.ts", "", "is in no layer"]
  ])("finds fault with %s (%#)", (path, text, expected) => {
    const found = violations([{ path, text }])
    assert.lengthOf(found, 1)
    assert.include(found[0], `src/${path} `)
    assert.include(found[0], expected)
  })

  it.each([
    ["raft/Raft.ts", importing("./Log.ts")],
    ["kv/model/Apply.ts", importing("../../raft/Types.ts")],
    ["node/RaftNode.ts", importing("../storage/LogStore.ts") + importing("../raft/Raft.ts") + importing("effect")],
    ["protocol/PeerRpcs.ts", importing("../FlareDbError.ts") + importing("effect/rpc")],
    ["transport/rpc/PeerLink.ts", importing("../../net/TcpClient.ts")],
    [
      "actors/Rows.ts",
      importing("../client/Txn.ts") + importing("../FlareDbError.ts") + importing("effect/persistence")
    ],
    ["cli/flaredb.ts", importing("effect/cli") + importing("../FlareDb.ts")],
    ["cli/output/Output.ts", `import { Console } from "effect"\n`],
    ["node/RaftNode.ts", `import * as Effect from "effect/Effect"\n// console.log is not for here\n`]
  ])("accepts what %s may do (%#)", (path, text) => {
    assert.deepEqual(violations([{ path, text }]), [])
  })
})
