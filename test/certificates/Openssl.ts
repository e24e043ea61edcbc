/** The `openssl` of this machine, as a second opinion on certificates. */
import { spawnSync } from "node:child_process"

/** Why tests that need `openssl` cannot run here; `undefined` when they can. */
export const opensslMissing: string | undefined = (() => {
  const { error, stdout } = spawnSync("openssl", ["version"], { encoding: "utf8" })
  if (error !== undefined) return "openssl is not installed"
  return /^OpenSSL (?:[3-9]|\d\d)/.test(stdout) ? undefined : `${stdout.trim()} is older than 3`
})()

/** Runs it in a folder; throws what it said when it fails. */
export const openssl = (folder: string, ...args: ReadonlyArray<string>): string => {
  const { status, stderr, stdout } = spawnSync("openssl", args, { cwd: folder, encoding: "utf8", timeout: 30_000 })
  if (status !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr}${stdout}`)
  return `${stdout}${stderr}`
}
