/**
 * Loads the binding of RocksDB when a database is opened, and not before: clients need none. It is a shared library,
 * made for one system, so an error says why it does not load, and what to do about it.
 */
import { Context, Effect } from "effect"
import { errorCode } from "../../ErrorCode.ts"
import { installCommand, missingPackage } from "../../PackageMissing.ts"
import { NativeModuleError } from "../StorageError.ts"
import type { ColumnFamily, RocksDB } from "./Binding.ts"

export interface NativeModule {
  readonly default: typeof RocksDB
  readonly ColumnFamily: typeof ColumnFamily
}

/** How the binding is imported. Tests replace it. */
export const NativeImport: Context.Reference<() => Promise<NativeModule>> = Context.Reference<
  () => Promise<NativeModule>
>("flaredb/storage/NativeImport", { defaultValue: () => () => import("rocksdb-native") })

/** The binding, or why there is none. */
export const load: Effect.Effect<NativeModule, NativeModuleError> = Effect.flatMap(
  Effect.service(NativeImport),
  (importing) =>
    Effect.tryPromise({
      try: importing,
      catch: (cause) => new NativeModuleError({ problem: explain(cause, thisSystem()), cause })
    })
)

/** What an explanation depends on. */
export interface System {
  readonly platform: string
  readonly arch: string
  /** The version of glibc; absent where there is none, as on Alpine. */
  readonly glibc: string | undefined
}

const thisSystem = (): System => {
  const report = process.report.getReport() as { readonly header?: { readonly glibcVersionRuntime?: string } }
  return { platform: process.platform, arch: process.arch, glibc: report.header?.glibcVersionRuntime }
}

interface Packages {
  readonly debian: string
  readonly fedora: string
  readonly alpine: string
}

/** The packages that hold the libraries which the binding is linked to. */
const packagesOf: Readonly<Record<string, Packages>> = {
  "libatomic.so.1": { debian: "libatomic1", fedora: "libatomic", alpine: "libatomic" },
  "libstdc++.so.6": { debian: "libstdc++6", fedora: "libstdc++", alpine: "libstdc++" },
  "libgcc_s.so.1": { debian: "libgcc-s1", fedora: "libgcc", alpine: "libgcc" }
}

const installing = (library: string): string => {
  const packages = packagesOf[library]
  if (packages === undefined) return "install the package of this system that has it"
  const { alpine, debian, fedora } = packages
  return `install it: apt-get install ${debian} (Debian, Ubuntu), dnf install ${fedora} (Fedora, RHEL) or ` +
    `apk add ${alpine} (Alpine)`
}

/** The messages of an error and of what caused it, in one line each. */
const textsOf = (cause: unknown): ReadonlyArray<string> => {
  const texts: Array<string> = []
  for (let current = cause; current instanceof Error && texts.length < 5; current = current.cause) {
    texts.push(current.message.replace(/\s+/g, " ").trim())
  }
  return texts.length === 0 ? [String(cause)] : texts
}

/** Why the binding cannot be loaded, and what to do, in words. */
export const explain = (cause: unknown, { arch, glibc, platform }: System): string => {
  const texts = textsOf(cause)
  const text = texts.join(": ")
  const machine = `${platform}-${arch}`

  const library = /(?:^|[\s:(])([\w.+-]+\.so(?:\.\d+)*): cannot open shared object file: No such file/.exec(text)?.[1]
  if (library !== undefined && library !== "rocksdb-native.node") {
    return `the library ${library} is missing; ${installing(library)}`
  }
  const symbol = /version [`'"](GLIBC(?:XX)?|CXXABI)_([\d.]+)'? not found/.exec(text)
  if (symbol !== null) {
    const [, name, version] = symbol
    return name === "GLIBC"
      ? `it needs glibc ${version} or later, and this system has ${
        glibc ?? "none"
      }; use a later release of the system ` +
        "(glibc 2.34 came with Debian 12, Ubuntu 22.04, Fedora 35 and RHEL 9), or the image in deploy/docker"
      : `the library libstdc++.so.6 of this system is too old: it lacks ${name}_${version}; ${
        installing("libstdc++.so.6")
      }`
  }
  if (/failed to map segment|Operation not permitted|Permission denied/.test(text)) {
    return `this process may not load its file (${
      texts.at(-1)
    }); it must be readable and on a file system that is not ` +
      "mounted with noexec"
  }
  if (
    /invalid ELF header|wrong ELF class|file too short|ELF file|Exec format error/i.test(text) ||
    /not a valid Win32|mach-o|bad CPU type/i.test(text)
  ) {
    return `its file is damaged, or of another kind of machine than this ${machine} (${
      texts.at(-1)
    }); run npm ci on this machine`
  }
  const code = errorCode(cause)
  if (code === "ADDON_NOT_FOUND" || text.startsWith("Cannot find addon")) {
    return platform === "linux" && glibc === undefined
      ? `there is none for ${machine} with musl, as on Alpine; use a system with glibc, or the image in deploy/docker`
      : `its file for ${machine} is not there; run npm ci on this machine (built for linux-x64, linux-arm64, ` +
        "darwin-x64, darwin-arm64, win32-x64 and win32-arm64)"
  }
  if (missingPackage(cause) === "rocksdb-native") {
    return `it is not installed; a node needs it beside FlareDB: run ${
      installCommand("rocksdb-native")
    }, or npm ci in ` +
      "a clone (clients need none)"
  }
  if (code?.endsWith("MODULE_NOT_FOUND") === true) {
    return `a package is not installed (${texts[0]?.split(/ (?:imported from|Require stack)/)[0]}); run npm ci, ` +
      "without leaving out packages"
  }
  if (/NODE_MODULE_VERSION|did not self-register/.test(text)) {
    return `it was made for another Node than this ${process.version} (${texts.at(-1)}); run npm ci with this Node`
  }
  return text
}
