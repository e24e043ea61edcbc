/** Prometheus' own tool, where the system has it (on Debian: apt-get install prometheus). */
import { spawnSync } from "node:child_process"
import { join } from "node:path"

const root = join(import.meta.dirname, "../../..")

/** Why tests with it are skipped, if they are. */
export const promtoolMissing: string | undefined = spawnSync("promtool", ["--version"]).status === 0
  ? undefined
  : "`promtool` is not installed"

/** What it printed, with its exit code. Paths are those of the repository. */
export const promtool = (args: ReadonlyArray<string>, input = "") => {
  const { status, stderr, stdout } = spawnSync("promtool", args, { cwd: root, encoding: "utf8", input })
  return { code: status, text: `${stdout}${stderr}`.trim() }
}
