/**
 * The packages that a node needs beside FlareDB and Effect. They are optional peers, so that a service that is a client
 * does not download them; what starts a node without one fails with a `PackageMissing` that says what to install.
 */
import { Data } from "effect"

/** With the versions that `package.json` asks for. */
export const nodePackages = ["@effect/platform-node@^4.1.0", "rocksdb-native@3.18.1"] as const

/** What to type to have one of them; the quotes keep shells from reading the range. */
export const installCommand = (name: string): string => {
  const wanted = nodePackages.find((one) => one.startsWith(`${name}@`)) ?? name
  return `npm install ${wanted.includes("^") ? `"${wanted}"` : wanted}`
}

/** A node cannot be started in this process: a package that it needs is not installed. */
export class PackageMissing extends Data.TaggedError("PackageMissing")<{
  readonly package: string
  readonly cause: unknown
}> {
  override get message() {
    return `a node needs the package ${this.package}, which is not installed here; run ` +
      `${installCommand(this.package)} (clients need neither it nor RocksDB)`
  }
}

/** The package that Node or a bundler did not find; undefined when something else is wrong. */
export const missingPackage = (cause: unknown): string | undefined => {
  if (!(cause instanceof Error) || !("code" in cause)) return undefined
  if (cause.code !== "ERR_MODULE_NOT_FOUND" && cause.code !== "MODULE_NOT_FOUND") return undefined
  return /Cannot find (?:package|module) '((?:@[^/']+\/)?[^/'.][^/']*)[/']?/.exec(cause.message)?.[1]
}
