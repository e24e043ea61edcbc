/** Random changes of roles and users against plain maps, and prefixes against a plain question. */
import { assert, describe, it } from "@effect/vitest"
import { compareBytes } from "../../../src/bytes/Bytes.ts"
import { prefixRange } from "../../../src/bytes/KeyRange.ts"
import { maxRoles, maxUserTokens } from "../../../src/kv/model/access/AccessLimits.ts"
import { PrefixSet } from "../../../src/kv/model/access/PrefixSet.ts"
import type { Role } from "../../../src/kv/model/access/Role.ts"
import { apply } from "../../../src/kv/model/Apply.ts"
import { Batch } from "../../../src/kv/model/Batch.ts"
import type { Command } from "../../../src/kv/model/Command.ts"
import { decodeCommand, encodeCommand, noSession } from "../../../src/kv/model/Command.ts"
import { decodeReply } from "../../../src/kv/model/ReplyCodec.ts"
import { State } from "../../../src/kv/model/State.ts"
import { StateCheck } from "../../../src/kv/model/StateCheck.ts"
import { Source } from "../CommandSource.ts"
import { bytes, Store, text } from "../Store.ts"

const names = ["shop", "bank", "bob", "admin"]

const roleText = ({ admin, name, read, write }: Role): string =>
  [name, read.map(text).join(), write.map(text).join(), admin].join(" ")

/** What the table must hold, as plainly as it can be said. */
class Plain {
  readonly roles = new Map<string, string>()
  readonly users = new Map<string, { roles: ReadonlyArray<string>; tokens: Array<number> }>()

  apply(index: number, command: Command): string {
    switch (command._tag) {
      case "PutRole":
        this.roles.set(command.role.name, roleText(command.role))
        return "DoneReply"
      case "DeleteRole":
        if ([...this.users.values()].some(({ roles }) => roles.includes(command.name))) return "invalid"
        return this.roles.delete(command.name) ? "DoneReply" : "invalid"
      case "PutUser":
        if (command.roles.some((role) => role !== "admin" && !this.roles.has(role))) return "invalid"
        this.users.set(command.name, { roles: command.roles, tokens: this.users.get(command.name)?.tokens ?? [] })
        return "DoneReply"
      case "DeleteUser":
        return this.users.delete(command.name) ? "DoneReply" : "invalid"
      case "AddToken": {
        const user = this.users.get(command.user) ?? (command.user === "admin" ? { roles: [], tokens: [] } : undefined)
        if (user === undefined) return "invalid"
        if (user.tokens.length >= maxUserTokens) return "overloaded"
        user.tokens.push(index)
        this.users.set(command.user, user)
        return "TokenReply"
      }
      case "RemoveToken": {
        const tokens = this.users.get(command.user)?.tokens ?? []
        const at = tokens.indexOf(command.token)
        if (at < 0) return "invalid"
        tokens.splice(at, 1)
        return "DoneReply"
      }
      default:
        return assert.fail(command._tag)
    }
  }
}

const randomCommand = (source: Source, index: number): Command => {
  const name = source.pick(names.slice(0, 3))
  return source.pick<Command>([
    {
      _tag: "PutRole",
      role: { name, read: [bytes("a"), source.key()], write: [source.key()], admin: source.below(3) === 0 }
    },
    { _tag: "DeleteRole", name },
    {
      _tag: "PutUser",
      name,
      roles: [source.pick(["shop", "bank", "admin"])],
      maxLeases: 1,
      maxSessions: source.below(9)
    },
    { _tag: "DeleteUser", name },
    { _tag: "AddToken", user: source.pick(names), hash: new Uint8Array(32).fill(index), expiresMs: source.below(9) },
    { _tag: "AddToken", user: source.pick(["admin", "bob"]), hash: new Uint8Array(32).fill(index), expiresMs: 0 },
    { _tag: "RemoveToken", user: source.pick(names), token: Math.max(1, index - source.below(12)) }
  ])
}

const seen = new Set<string>()

/** Carries a command out as it would come in the log, and says what the reply is. */
const carryOut = (store: Store, state: State, index: number, command: Command): string => {
  const sent = decodeCommand(encodeCommand(command))
  if (sent._tag === "Problem") return assert.fail(sent.problem)
  const batch = new Batch(state)
  const reply = apply(batch, { index, timestampMs: index }, { ...sent, commandId: noSession })
  store.commit(batch)
  const decoded = decodeReply(reply instanceof Uint8Array ? reply : store.run(reply))
  return decoded._tag === "RefusedReply" ? decoded.reason : decoded._tag
}

describe("roles and users are what a plain table says, after a restart too, and pass the check of foreign rows", () => {
  for (let seed = 1; seed <= 20; seed++) {
    it(`seed ${seed}`, () => {
      const source = new Source(seed)
      const store = new Store()
      const plain = new Plain()
      let state = new State()
      for (let index = 1; index <= 300; index++) {
        const command = randomCommand(source, index)
        const reply = carryOut(store, state, index, command)
        assert.strictEqual(reply, plain.apply(index, command), JSON.stringify(command))
        seen.add(`${command._tag} ${reply}`)
        if (source.below(10) === 0) state = store.recover()
      }
      const { access } = state
      assert.deepStrictEqual(
        access.usersAfter("", 100).rows.map(({ name, roles, tokens }) => [name, roles, tokens.map(({ id }) => id)]),
        [...plain.users].sort(([a], [b]) => a < b ? -1 : 1).map(([name, { roles, tokens }]) => [name, roles, tokens])
      )
      assert.deepStrictEqual(
        access.rolesAfter("", 100).rows.map(roleText).sort(),
        [...plain.roles.values()].sort()
      )
      const check = new StateCheck(300)
      for (const row of store.sorted()) assert.isUndefined(check.row(row))
      assert.isUndefined(check.end())
    })
  }

  it("and every kind of answer was given", () => {
    for (const command of ["DeleteRole", "PutUser", "DeleteUser", "RemoveToken"]) {
      for (const reply of ["DoneReply", "invalid"]) {
        assert.isTrue(seen.has(`${command} ${reply}`), `${command} ${reply}`)
      }
    }
    for (const reply of ["TokenReply", "invalid", "overloaded"]) assert.isTrue(seen.has(`AddToken ${reply}`), reply)
  })
})

describe("rows of roles and users that were changed outside are refused, or the store goes on with them", () => {
  for (let seed = 1; seed <= 10; seed++) {
    it(`seed ${seed}`, () => {
      const source = new Source(seed)
      const store = new Store()
      const state = new State()
      for (let index = 1; index <= 100; index++) carryOut(store, state, index, randomCommand(source, index))
      const rows = [...store.rows].filter(([key]) => key.charCodeAt(0) >= 0x50)
      let refused = 0
      for (let run = 0; run < 200; run++) {
        const changed = new Store()
        for (const [key, value] of store.rows) changed.rows.set(key, value)
        const [key, value] = source.pick(rows)
        const damaged = Uint8Array.from(value)
        const at = source.below(damaged.byteLength)
        damaged[at] = (damaged[at] as number) ^ (1 << source.below(8))
        changed.rows.set(key, source.below(4) === 0 ? damaged.subarray(0, at) : damaged)
        const check = new StateCheck(100)
        const problem = changed.sorted().map((row) => check.row(row)).find((one) => one !== undefined) ?? check.end()
        if (problem !== undefined) {
          refused += 1
          continue
        }
        const found = changed.recover()
        for (const name of names) found.access.permissionsOf(name)?.read.covers(prefixRange(bytes("a")))
        for (const name of names) carryOut(changed, found, 101, { _tag: "RemoveToken", user: name, token: 1 })
      }
      assert.isAbove(refused, 20)
    })
  }
})

it("one role more than there may be is refused, and one of them may still be changed", () => {
  const store = new Store()
  const state = new State()
  const role = (i: number): Command => ({ _tag: "PutRole", role: { name: `r${i}`, read: [], write: [], admin: false } })
  for (let i = 1; i <= maxRoles; i++) assert.strictEqual(carryOut(store, state, i, role(i)), "DoneReply")
  assert.strictEqual(carryOut(store, state, maxRoles + 1, role(maxRoles + 1)), "overloaded")
  assert.strictEqual(carryOut(store, state, maxRoles + 2, role(1)), "DoneReply")
})

describe("commands that are refused before the log", () => {
  const commands: ReadonlyArray<readonly [string, Command, string]> = [
    [
      "a role that is built in",
      { _tag: "PutRole", role: { name: "admin", read: [], write: [], admin: false } },
      "name"
    ],
    ["the end of the built-in role", { _tag: "DeleteRole", name: "admin" }, "name"],
    ["a user that is built in", { _tag: "PutUser", name: "admin", roles: [], maxLeases: 1, maxSessions: 1 }, "name"],
    ["the end of the administrator", { _tag: "DeleteUser", name: "admin" }, "name"],
    ["a name with a slash", { _tag: "PutUser", name: "a/b", roles: [], maxLeases: 1, maxSessions: 1 }, "name"],
    ["no name", { _tag: "DeleteUser", name: "" }, "name"],
    ["a role twice", { _tag: "PutUser", name: "a", roles: ["b", "b"], maxLeases: 1, maxSessions: 1 }, "roles"],
    [
      "a role without a name",
      { _tag: "PutUser", name: "a", roles: ["b", ""], maxLeases: 1, maxSessions: 1 },
      "roles[1]"
    ],
    ["too many leases", { _tag: "PutUser", name: "a", roles: [], maxLeases: 100_001, maxSessions: 1 }, "maxLeases"],
    ["too many sessions", { _tag: "PutUser", name: "a", roles: [], maxLeases: 1, maxSessions: 10_001 }, "maxSessions"],
    [
      "a prefix longer than a key",
      { _tag: "PutRole", role: { name: "a", read: [new Uint8Array(4_097)], write: [], admin: false } },
      "read"
    ],
    [
      "many long prefixes",
      {
        _tag: "PutRole",
        role: {
          name: "a",
          read: [1, 2, 3].map(() => new Uint8Array(4_096)),
          write: [new Uint8Array(4_097 - 1), bytes("a")],
          admin: false
        }
      },
      "read"
    ],
    ["a caller with a blank", { _tag: "GrantLease", ttlMs: 1_000, caller: "a b" }, "caller"],
    [
      "the end of a token beyond time",
      { _tag: "AddToken", user: "a", hash: new Uint8Array(32), expiresMs: 2 ** 50 },
      "expiresMs"
    ]
  ]
  it.each(commands)("%s", (_, command, field) => {
    assert.deepInclude(decodeCommand(encodeCommand(command)), { _tag: "Problem", field })
  })
})

describe("a set of prefixes", () => {
  const alphabet = [0x00, 0x61, 0x62, 0xff]
  for (let seed = 1; seed <= 20; seed++) {
    it(`covers a range only when every key of it begins with one of them, and every longer prefix (seed ${seed})`, () => {
      const source = new Source(seed)
      const word = (most: number) => Uint8Array.from({ length: source.below(most + 1) }, () => source.pick(alphabet))
      // Every key of up to three bytes of the alphabet.
      const keys: Array<Uint8Array> = []
      const grow = (key: ReadonlyArray<number>): void => {
        if (key.length > 0) keys.push(Uint8Array.from(key))
        if (key.length < 4) { for (const byte of alphabet) grow([...key, byte]) }
      }
      grow([])
      let covered = 0
      let refused = 0
      for (let round = 0; round < 400; round++) {
        const prefixes = Array.from({ length: source.below(6) }, () => word(2)).filter((prefix) => prefix.length > 0)
        const set = new PrefixSet(prefixes)
        const [a, b] = [word(3), word(3)].sort(compareBytes) as [Uint8Array, Uint8Array]
        const begin = word(2)
        const range = source.below(2) === 0 ? { gte: a, lt: b } : prefixRange(begin)
        if (range.lt.length > 0 && compareBytes(range.gte, range.lt) >= 0) continue
        const within = keys.filter((key) =>
          compareBytes(key, range.gte) >= 0 && (range.lt.length === 0 || compareBytes(key, range.lt) < 0)
        )
        const begins = (key: Uint8Array) => prefixes.some((prefix) => text(key).startsWith(text(prefix)))
        const what = `${prefixes.map(text).join()} over ${text(range.gte)}..${text(range.lt)}`
        const found = set.covers(range)
        covered += found ? 1 : 0
        refused += found ? 0 : 1
        if (found) assert.isTrue(within.every(begins), what)
        if (range.gte === begin && begins(begin)) assert.isTrue(found, what)
      }
      assert.isAbove(covered, 3)
      assert.isAbove(refused, 10)
      for (const key of keys.slice(0, 80)) {
        const set = new PrefixSet([key])
        assert.isTrue(set.covers(prefixRange(key)), text(key))
        assert.isTrue(set.covers({ gte: key, lt: Uint8Array.of(...key, 0) }))
      }
    })
  }

  it("with the empty prefix covers everything, and without any nothing", () => {
    const everything = { gte: new Uint8Array(0), lt: new Uint8Array(0) }
    assert.isTrue(new PrefixSet([bytes("a"), new Uint8Array(0)]).covers(everything))
    assert.isFalse(new PrefixSet([]).covers(everything))
    assert.isFalse(new PrefixSet([bytes("a")]).covers(everything))
    assert.isTrue(new PrefixSet([bytes("a"), bytes("b")]).covers({ gte: bytes("a5"), lt: bytes("b5") }))
    assert.isFalse(new PrefixSet([bytes("a"), bytes("c")]).covers({ gte: bytes("a5"), lt: bytes("c5") }))
    assert.isTrue(new PrefixSet([bytes("\xff")]).covers({ gte: bytes("\xff\x01"), lt: new Uint8Array(0) }))
  })
})
