import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { freshMs, HostNameError, HostNames, maxWaitMs, patienceMs } from "../../src/net/HostNames.ts"
import type { Time } from "../../src/net/HostNames.ts"
import type { Address, Sources } from "../../src/net/NameService.ts"
import { hostsFileNames, maxCalls, NoNameServer, systemNameService } from "../../src/net/NameService.ts"

/** Time that passes when the test says so. */
class ManualTime implements Time {
  private ms = 0
  private readonly due = new Set<{ readonly atMs: number; readonly call: () => void }>()

  readonly nowMs = () => this.ms

  readonly after = (ms: number, call: () => void) => {
    const timer = { atMs: this.ms + ms, call }
    this.due.add(timer)
    return () => void this.due.delete(timer)
  }

  pass(ms: number): void {
    this.ms += ms
    for (const timer of this.due) {
      if (timer.atMs > this.ms) continue
      this.due.delete(timer)
      timer.call()
    }
  }
}

const first: Address = { address: "10.0.0.1", family: 4 }
const second: Address = { address: "10.0.0.2", family: 4 }
const sixth: Address = { address: "fd00::1", family: 6 }

/** Names whose look-ups end when the test says so. */
const make = () => {
  const time = new ManualTime()
  const asked: Array<
    { readonly host: string; readonly end: (result: ReadonlyArray<Address> | Error) => Promise<void> }
  > = []
  const names = new HostNames(
    (host) => {
      const { promise, reject, resolve } = Promise.withResolvers<ReadonlyArray<Address>>()
      asked.push({
        host,
        end: async (result) => {
          if (result instanceof Error) reject(result)
          else resolve(result)
          await promise.catch(() => undefined)
        }
      })
      return promise
    },
    time
  )
  const lookup = (host: string, family = 0) =>
    new Promise<string | HostNameError>((resolve) =>
      names.lookup(
        host,
        { family, all: true },
        (error, found) =>
          resolve(
            error === null ? (found as Array<Address>).map(({ address }) => address).join(" ") : error as HostNameError
          )
      )
    )
  const codeOf = async (answer: Promise<string | HostNameError>) => {
    const error = await answer
    return error instanceof HostNameError ? error.code : assert.fail(`found ${error}`)
  }
  return { asked, codeOf, lookup, names, time }
}

const unknown = Object.assign(new Error("getaddrinfo ENOTFOUND"), { code: "ENOTFOUND" })

describe("the addresses of a name", () => {
  it("are looked up once for all who ask, and kept for a moment", async () => {
    const { asked, lookup, time } = make()
    const answers = Promise.all([lookup("a"), lookup("a"), lookup("b")])
    assert.deepStrictEqual(asked.map(({ host }) => host), ["a", "b"])
    await asked[0]?.end([first])
    await asked[1]?.end([second])
    assert.deepStrictEqual(await answers, ["10.0.0.1", "10.0.0.1", "10.0.0.2"])
    time.pass(freshMs - 1)
    assert.strictEqual(await lookup("a"), "10.0.0.1")
    assert.lengthOf(asked, 2)
    time.pass(1)
    const again = lookup("a")
    assert.lengthOf(asked, 3)
    await asked[2]?.end([second])
    assert.strictEqual(await again, "10.0.0.2")
  })

  it("are waited for no longer than the limit, and never asked for twice at a time", async () => {
    const { asked, codeOf, lookup, time } = make()
    const waiting = lookup("a")
    time.pass(maxWaitMs)
    assert.strictEqual(await codeOf(waiting), "EAI_AGAIN")
    for (let attempt = 0; attempt < 100; attempt++) {
      time.pass(50)
      assert.strictEqual(await codeOf(lookup("a")), "EAI_AGAIN")
    }
    assert.lengthOf(asked, 1)
    await asked[0]?.end([first])
    assert.strictEqual(await lookup("a"), "10.0.0.1")
  })

  it("stay those that were good last while a look-up takes long, or fails", async () => {
    const { asked, lookup, time } = make()
    const good = lookup("a")
    await asked[0]?.end([first])
    assert.strictEqual(await good, "10.0.0.1")
    time.pass(freshMs)
    const slow = lookup("a")
    time.pass(patienceMs)
    assert.strictEqual(await slow, "10.0.0.1")
    await asked[1]?.end(unknown)
    assert.strictEqual(await lookup("a"), "10.0.0.1")
    time.pass(freshMs)
    assert.strictEqual(await lookup("a"), "10.0.0.1")
    await asked[2]?.end([second])
    assert.strictEqual(await lookup("a"), "10.0.0.2")
    assert.lengthOf(asked, 3)
  })

  it("are not waited for once a look-up has failed, until one succeeds", async () => {
    const { asked, codeOf, lookup, time } = make()
    const failing = lookup("a")
    await asked[0]?.end(unknown)
    assert.strictEqual(await codeOf(failing), "ENOTFOUND")
    assert.strictEqual(await codeOf(lookup("a")), "ENOTFOUND")
    assert.lengthOf(asked, 1)
    time.pass(freshMs)
    assert.strictEqual(await codeOf(lookup("a")), "ENOTFOUND")
    assert.lengthOf(asked, 2)
    await asked[1]?.end([first])
    assert.strictEqual(await lookup("a"), "10.0.0.1")
  })

  it("are of the kind that was asked for", async () => {
    const { asked, codeOf, lookup } = make()
    const all = lookup("a")
    await asked[0]?.end([sixth, first])
    assert.strictEqual(await all, "fd00::1 10.0.0.1")
    assert.strictEqual(await lookup("a", 4), "10.0.0.1")
    assert.strictEqual(await lookup("a", 6), "fd00::1")
    const only = lookup("b", 4)
    await asked[1]?.end([sixth])
    assert.strictEqual(await codeOf(only), "ENOTFOUND")
  })

  it("to listen on have a limit of their own, and an error that says which name it is", async () => {
    const { asked, names, time } = make()
    const listening = Effect.runPromiseExit(names.toListen("a", 5_000))
    await Promise.resolve()
    time.pass(4_999)
    assert.lengthOf(asked, 1)
    time.pass(1)
    const exit = await listening
    assert.match(Exit.isFailure(exit) ? String(exit.cause) : "", /the host name a is still being looked up/)
  })

  it("are forgotten when very many names are asked for", async () => {
    const { asked, lookup, time } = make()
    for (let i = 0; i < 1_000; i++) {
      const answer = lookup(`name-${i}`)
      await asked[i]?.end([first])
      await answer
    }
    const again = lookup("name-0")
    assert.lengthOf(asked, 1_001)
    await asked[1_000]?.end([second])
    assert.strictEqual(await again, "10.0.0.2")
    time.pass(freshMs)
  })
})

describe("the system", () => {
  /** A system with these answers; `calls` are those of `getaddrinfo`. */
  const system = (sources: Partial<Sources>) => {
    const calls: Array<string> = []
    const service = systemNameService({
      hostsFile: () => Promise.resolve("127.0.0.1 localhost\n10.0.0.9\tnode-9 Node-9.example # not node-8\n"),
      answered: () => Promise.resolve(true),
      ...sources,
      addresses: (host, purpose) => {
        calls.push(host)
        return sources.addresses === undefined ? Promise.resolve([first]) : sources.addresses(host, purpose)
      }
    })
    return { calls, service: (host: string) => service(host, "connect") }
  }

  it("is not asked with a call that nothing can cancel while no name server answers", async () => {
    const { calls, service } = system({ answered: () => Promise.resolve(false) })
    const error = await service("node-1.example").catch((error: unknown) => error)
    assert.instanceOf(error, NoNameServer)
    assert.deepStrictEqual(calls, [])
  })

  it.each(["localhost", "a.localhost", "printer.local", "127.0.0.1", "127.1", "::1", "NODE-9", "node-9.example"])(
    "finds %s without a name server",
    async (host) => {
      const { calls, service } = system({ answered: () => Promise.resolve(false) })
      assert.deepStrictEqual(await service(host), [first])
      assert.deepStrictEqual(calls, [host])
    }
  )

  it("finds names when there is no hosts file", async () => {
    const { service } = system({ hostsFile: () => Promise.reject(new Error("ENOENT")) })
    assert.deepStrictEqual(await service("node-1.example"), [first])
  })

  it("is asked by a few calls at a time", async () => {
    const ends: Array<() => void> = []
    const { calls, service } = system({
      addresses: () => new Promise((resolve) => ends.push(() => resolve([first])))
    })
    const answers = ["a", "b", "c", "d"].map((host) => service(`${host}.local`))
    const started = async (count: number) => {
      while (calls.length < count) await Promise.resolve()
    }
    await started(maxCalls)
    // All four have had as many turns as the first two needed.
    for (let turn = 0; turn < 100; turn++) await Promise.resolve()
    assert.lengthOf(calls, maxCalls)
    ends[0]?.()
    await started(maxCalls + 1)
    ends[1]?.()
    await started(4)
    for (const end of ends.slice(2)) end()
    assert.lengthOf(await Promise.all(answers), 4)
  })

  it("reads the names of a hosts file, not its addresses and comments", () => {
    const text = "# a comment\n10.0.0.1 one two # three\n\n::1\tfour\n"
    for (const name of ["one", "two", "TWO", "four"]) assert.isTrue(hostsFileNames(text, name), name)
    for (const name of ["10.0.0.1", "three", "comment", "", "on"]) assert.isFalse(hostsFileNames(text, name), name)
  })
})
