/** The manifests in `deploy/kubernetes`, and what a test asks of them. */
import { readdirSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { parse, parseAllDocuments } from "yaml"
import type { Definitions } from "./JsonSchema.ts"
import { problemsOf } from "./JsonSchema.ts"

export const root = join(import.meta.dirname, "../..")

/** A part of a manifest, of which a test knows what is in it. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Part = any

export interface Manifest {
  readonly file: string
  readonly content: Part
}

const { definitions } = JSON.parse(
  readFileSync(join(import.meta.dirname, "kubernetes-schema.json"), "utf8")
) as { readonly definitions: Definitions }

/** What is wrong with an object of the Kubernetes API; that its kind is not known is wrong, too. */
export const problemsOfObject = (content: Part): ReadonlyArray<string> => {
  const { apiVersion, kind } = content
  const [name] =
    Object.entries(definitions).find(([, { properties }]) =>
      properties?.["kind"]?.enum?.includes(kind) === true &&
      properties["apiVersion"]?.enum?.includes(apiVersion) === true
    ) ?? []
  return name === undefined
    ? [`there is no schema of ${kind} in ${apiVersion}`]
    : problemsOf(definitions, { $ref: `#/definitions/${name}` }, content, kind)
}

/** All objects in the files of a folder, its `kustomization.yaml` left out. */
export const manifestsIn = (folder: string): ReadonlyArray<Manifest> =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".yaml") && name !== "kustomization.yaml")
    .flatMap((name) =>
      parseAllDocuments(readFileSync(join(root, folder, name), "utf8"), { strict: true }).map((document) => {
        const [problem] = [...document.errors, ...document.warnings]
        if (problem !== undefined) throw new Error(`${folder}/${name}: ${problem.message}`)
        return { file: basename(name), content: document.toJS() as Part }
      })
    )

export const kustomizationOf = (folder: string): Part =>
  parse(readFileSync(join(root, folder, "kustomization.yaml"), "utf8"))

/** The one object of a kind. */
export const only = (manifests: ReadonlyArray<Manifest>, kind: string): Part => {
  const found = manifests.filter(({ content }) => content.kind === kind)
  if (found.length !== 1) throw new Error(`there are ${found.length} of ${kind}`)
  return found[0]?.content
}
