/** `flaredb --completions SHELL`, as shells take it: a verb and a flag that were begun are completed. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { temporaryFolder } from "../../storage/TemporaryFolder.ts"
import { run } from "./CommandLine.ts"

const has = (shell: string): boolean => spawnSync(shell, ["-c", "exit 0"]).status === 0

/** The script of a shell, in a file of the name that this shell looks for. */
const script = Effect.fnUntraced(function*(shell: string, name: string) {
  const folder = yield* temporaryFolder
  const { code, err, out } = yield* run(["--completions", shell])
  assert.deepStrictEqual({ code, err }, { code: 0, err: "" })
  const file = join(folder, name)
  writeFileSync(file, out)
  return { file, folder }
})

/** What a shell offers for words of which the last one is not finished. */
const asked: ReadonlyArray<readonly [words: ReadonlyArray<string>, offers: string]> = [
  [["flaredb", "transf"], "transfer-leader"],
  [["flaredb", "lease", "keep"], "keep-alive"],
  [["flaredb", "elect", "--lis"], "--listen"]
]

describe("completions", () => {
  it.live("of bash offer verbs, their parts and flags", () =>
    Effect.gen(function*() {
      const { file } = yield* script("bash", "flaredb.bash")
      for (const [words, offers] of asked) {
        const line = words.join(" ")
        const commands = `source ${file}; COMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; COMP_LINE="${line}"
          COMP_POINT=${line.length}; _flaredb; printf '%s\\n' "\${COMPREPLY[@]}"`
        assert.include(execFileSync("bash", ["-c", commands], { encoding: "utf8" }).split("\n"), offers)
      }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live.skipIf(!has("fish"))("of fish do the same", () =>
    Effect.gen(function*() {
      const { file } = yield* script("fish", "flaredb.fish")
      for (const [words, offers] of asked) {
        const commands = `source ${file}; complete -C "${words.join(" ")}"`
        const offered = execFileSync("fish", ["--no-config", "-c", commands], { encoding: "utf8" })
        assert.include(offered.split("\n").map((line) => line.split("\t")[0]), offers)
      }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live.skipIf(!has("zsh"))("of zsh are found in the function path, and are valid", () =>
    Effect.gen(function*() {
      const { file, folder } = yield* script("zsh", "_flaredb")
      execFileSync("zsh", ["-n", file])
      const commands = `fpath=(${folder} $fpath); autoload -Uz compinit; compinit -u -D; print $_comps[flaredb]`
      assert.strictEqual(execFileSync("zsh", ["-fc", commands], { encoding: "utf8" }).trim(), "_flaredb")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
