/** A build of an earlier commit, made from this repository's own history in a temporary folder. */
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join, resolve } from "node:path"

/** The last commit before feature levels: what runs it speaks client protocol 5 and peer protocol 8, and no ranges. */
export const beforeLevels = "f54eb34"

/** Whether the history at hand has a commit; a shallow clone lacks most of them. */
export const hasCommit = (commit: string): boolean => {
  try {
    execFileSync("git", ["cat-file", "-e", `${commit}^{commit}`], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

export interface EarlierBuild {
  readonly folder: string
  /** What Node runs for a node. */
  readonly program: ReadonlyArray<string>
}

/** Builds a commit; the command line only, unless its library is wanted. The folder is gone with the scope. */
export const earlierBuild = (commit: string, what: "command-line" | "library") =>
  Effect.acquireRelease(
    Effect.sync((): EarlierBuild => {
      const folder = mkdtempSync(join(tmpdir(), "flaredb-earlier-"))
      const env = { ...process.env, PATH: [dirname(process.execPath), process.env["PATH"]].join(delimiter) }
      const run = (command: string, args: ReadonlyArray<string>, cwd: string) =>
        execFileSync(command, args, { cwd, env, stdio: ["ignore", "ignore", "inherit"] })
      run("sh", ["-c", `git archive ${commit} | tar -x -C "${folder}"`], ".")
      symlinkSync(resolve("node_modules"), join(folder, "node_modules"))
      if (what === "library") run("npm", ["run", "build", "--silent"], folder)
      else run(join("node_modules", ".bin", "rolldown"), ["--config"], folder)
      return { folder, program: [join(folder, "bin", "flaredb.js"), "start"] }
    }),
    ({ folder }) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
