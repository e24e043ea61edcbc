/** What a command says beside its output: for people, and for programs. */
import { assert, describe, it } from "@effect/vitest"
import { failed, failureOf, notFound } from "../../src/cli/output/Failure.ts"
import { errorText, noticeText, wantsJson } from "../../src/cli/output/Messages.ts"
import { InvalidConfig } from "../../src/config/ConfigProblem.ts"
import { Indeterminate, Overloaded, Unavailable, WrongCluster } from "../../src/FlareDbError.ts"

describe("errors as JSON", () => {
  it("are asked for by the words of the command line, also one that cannot be parsed", () => {
    assert.isTrue(wantsJson(["get", "--json", "k"]))
    assert.isTrue(wantsJson(["--json=true"]))
    assert.isTrue(wantsJson(["--no-json", "--json"]), "the last one counts")
    assert.isFalse(wantsJson(["get", "k"]))
    assert.isFalse(wantsJson(["get", "--json=false", "k"]))
    assert.isFalse(wantsJson(["get", "--json", "--no-json"]))
    assert.isFalse(wantsJson(["lock", "a", "--", "curl", "--json"]), "another program's")
  })

  it("have a tag, a message, the exit code, and what the error knows", () => {
    const shown = (error: unknown) => JSON.parse(errorText(failureOf(error), true)).error
    assert.deepStrictEqual(shown(new Overloaded({ limit: "maxLeases", current: 5, maximum: 5 })), {
      tag: "Overloaded",
      message: new Overloaded({ limit: "maxLeases", current: 5, maximum: 5 }).message,
      exitCode: 1,
      limit: "maxLeases",
      current: 5,
      maximum: 5
    })
    assert.deepInclude(shown(new Indeterminate({ reason: "lost" })), { tag: "Indeterminate", reason: "lost" })
    assert.deepInclude(shown(new WrongCluster({ endpoint: "a:1", expected: "x", foundName: "y" })), {
      tag: "WrongCluster",
      endpoint: "a:1",
      expected: "x"
    })
    assert.deepInclude(shown(new InvalidConfig({ problems: [{ field: "a", problem: "b" }] })), {
      exitCode: 2,
      problems: [{ field: "a", problem: "b" }]
    })
    assert.deepInclude(shown(notFound("gone")), { tag: "NotFound", message: "gone", exitCode: 3 })
    assert.deepInclude(shown(new Error("odd")), { tag: "Failed", message: "odd", exitCode: 1 })
  })

  it("leave the process only what can be shown", () => {
    const error = Object.assign(new Error("x"), {
      _tag: "Odd",
      message: "x",
      cause: new Error("inner"),
      bytes: Uint8Array.of(1),
      list: [1, "a"],
      tag: "forged",
      exitCode: 99
    })
    assert.deepStrictEqual(JSON.parse(errorText(failureOf(error), true)), {
      error: { tag: "Odd", message: "x", exitCode: 1, list: [1, "a"] }
    })
    assert.strictEqual(errorText(failed("a\u001b[2Jb"), true).includes("\u001b"), false)
  })

  it("are one line for people, and so is a notice", () => {
    assert.strictEqual(errorText(failed("it\nbroke"), false), "flaredb: it broke")
    assert.strictEqual(noticeText("flaredb: so it is", false), "flaredb: so it is")
    assert.deepStrictEqual(JSON.parse(noticeText("flaredb: so it is", true)), { notice: { message: "so it is" } })
  })

  it("say what to look at, once", () => {
    const line = (reason: string) => failureOf(new Unavailable({ reason })).line
    assert.match(
      line("no node can be reached; a: b"),
      /a: b\. Does the cluster run, and are these its client endpoints\?/
    )
    assert.match(line("the deadline passed"), /passed\. flaredb status says what each node waits for/)
    assert.match(line("is it up?"), /is it up\?$/)
    const refused = "no node can be reached; a: refused by the other side: this port takes TLS only"
    assert.strictEqual(line(refused), `unavailable: ${refused}`, "a reason that says what to do")
  })
})
