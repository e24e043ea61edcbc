/** Commands that were asked about are not decoded again, and no other bytes are taken for them. */
import { assert, describe, it } from "@effect/vitest"
import type { DecodedCommand } from "../../../src/kv/model/Command.ts"
import { decodeCommand, encodeCommand } from "../../../src/kv/model/Command.ts"
import { RecentCommands } from "../../../src/kv/RecentCommands.ts"

const command = (i: number): Uint8Array =>
  encodeCommand({ _tag: "Put", key: Uint8Array.of(i & 0xff, i >> 8), value: Uint8Array.of(i & 0xff), lease: 0 })

const decoded = (bytes: Uint8Array): DecodedCommand => {
  const decoded = decodeCommand(bytes)
  return decoded._tag === "Problem" ? assert.fail(decoded.problem) : decoded
}

describe("commands that were asked about", () => {
  it("are found in their order, and once", () => {
    const recent = new RecentCommands()
    const asked = [1, 2, 3].map(command)
    const kept = asked.map(decoded)
    asked.forEach((bytes, i) => recent.remember(bytes, kept[i] as DecodedCommand))
    for (const [i, bytes] of asked.entries()) assert.strictEqual(recent.take(bytes), kept[i])
    const again = recent.take(asked[0] as Uint8Array)
    assert.notStrictEqual(again, kept[0])
    assert.deepStrictEqual(again, kept[0])
  })

  it("are passed over when they are not checked, and decoded when they come out of order", () => {
    const recent = new RecentCommands()
    const asked = [1, 2, 3].map(command)
    const kept = asked.map(decoded)
    asked.forEach((bytes, i) => recent.remember(bytes, kept[i] as DecodedCommand))
    assert.strictEqual(recent.take(asked[1] as Uint8Array), kept[1])
    assert.deepStrictEqual(recent.take(asked[0] as Uint8Array), kept[0])
    assert.deepStrictEqual(recent.take(asked[2] as Uint8Array), kept[2])
  })

  it("are known by their memory and not by what it holds", () => {
    const recent = new RecentCommands()
    recent.remember(command(1), decoded(command(2)))
    assert.deepStrictEqual(recent.take(command(1)), decoded(command(1)))
    recent.remember(command(1), decoded(command(1)))
    assert.strictEqual(recent.take(Uint8Array.of(1))._tag, "Problem")
  })

  it("are bounded in number", () => {
    const recent = new RecentCommands()
    const asked = Array.from({ length: 600 }, (_, i) => command(i))
    const kept = asked.map(decoded)
    asked.forEach((bytes, i) => recent.remember(bytes, kept[i] as DecodedCommand))
    const found = asked.map((bytes) => recent.take(bytes))
    assert.deepStrictEqual(found, kept)
    const same = found.filter((one, i) => one === kept[i]).length
    assert.isAtMost(same, 512)
  })
})
