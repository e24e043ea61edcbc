/** The keys as a tree: one level at a time, folders first named by what is before the next slash. */
import { useEffect, useState } from "preact/hooks"
import { call } from "./Api.ts"
import { fromBase64, fromText, shownKey, toBase64, typedKey } from "./Bytes.ts"
import { Heading, Problem } from "./Parts.tsx"
import { keysLink, watchLink } from "./Route.ts"

interface TreeName {
  readonly key: string
  readonly folder: boolean
}

interface TreeLevel {
  readonly names: ReadonlyArray<TreeName>
  readonly cursor: string | null
}

const slash = 0x2f

/** The folders on the way from the root to a prefix. */
const parents = (prefix: Uint8Array): ReadonlyArray<Uint8Array> =>
  [...prefix].flatMap((byte, at) => byte === slash ? [prefix.slice(0, at + 1)] : [])

export const Path = ({ name }: { readonly name: Uint8Array }) => {
  const folders = parents(name)
  const last = folders[folders.length - 1] ?? new Uint8Array()
  return (
    <nav aria-label="Path" class="path">
      <ol>
        <li>
          <a href={keysLink(new Uint8Array())}>all keys</a>
        </li>
        {folders.map((folder, at) => (
          <li key={at}>
            <a href={keysLink(folder)}>{shownKey(folder.slice(folders[at - 1]?.length ?? 0))}</a>
          </li>
        ))}
        {name.length > last.length ? <li aria-current="page">{shownKey(name.slice(last.length))}</li> : null}
      </ol>
    </nav>
  )
}

/** Goes to a key or a prefix that is typed. */
const GoTo = ({ prefix }: { readonly prefix: Uint8Array }) => (
  <form
    class="row"
    onSubmit={(event) => {
      event.preventDefault()
      const form = new FormData(event.currentTarget)
      const typed = typedKey(String(form.get("key") ?? ""))
      const button = (event as SubmitEvent).submitter
      location.hash = button instanceof HTMLButtonElement && button.value === "key" && typed.length > 0
        ? keysLink(prefix, typed)
        : keysLink(typed)
    }}
  >
    <label for="goto">Prefix or key</label>
    <input id="goto" name="key" defaultValue={shownKey(prefix)} autocomplete="off" spellcheck={false} />
    <button type="submit" value="prefix">List</button>
    <button type="submit" value="key">Open key</button>
  </form>
)

const useLevel = (prefix: Uint8Array) => {
  const [level, setLevel] = useState<TreeLevel>()
  const [problem, setProblem] = useState<string>()
  const id = toBase64(prefix)
  const more = async (cursor: string | null) => {
    try {
      const next = await call<TreeLevel>("tree", { prefix: id, ...cursor === null ? {} : { cursor } })
      setProblem(undefined)
      setLevel((before) => ({
        names: cursor === null ? next.names : [...before?.names ?? [], ...next.names],
        cursor: next.cursor
      }))
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error))
    }
  }
  useEffect(() => void more(null), [id])
  return { level, problem, more }
}

export const KeysPage = ({ prefix }: { readonly prefix: Uint8Array }) => {
  const { level, more, problem } = useLevel(prefix)
  return (
    <>
      <Heading>Keys</Heading>
      <Path name={prefix} />
      <GoTo prefix={prefix} />
      <Problem text={problem} />
      {level === undefined
        ? problem === undefined ? <p class="quiet" aria-busy="true">Reading…</p> : null
        : level.names.length === 0
        ? <p class="quiet">No key begins with this.</p>
        : (
          <ul class="tree" aria-label="Names of this level">
            {level.names.map(({ folder, key }) => {
              const bytes = fromBase64(key)
              const name = shownKey(bytes.slice(prefix.length))
              return (
                <li key={key}>
                  <a class={folder ? "folder" : "key"} href={folder ? keysLink(bytes) : keysLink(prefix, bytes)}>
                    <span class="hidden">{folder ? "folder " : "key "}</span>
                    {name === "" ? "(this name itself)" : name}
                  </a>
                </li>
              )
            })}
          </ul>
        )}
      <div class="buttons">
        {level === undefined || level.cursor === null ?
          null :
          <button type="button" onClick={() => void more(level.cursor)}>Show more</button>}
        <button type="button" onClick={() => void more(null)}>Read again</button>
        <a class="button" href={watchLink(prefix)}>Watch</a>
        <a class="button" href={`${keysLink(prefix, Uint8Array.from([...prefix, ...fromText("new-key")]))}`}>New key</a>
      </div>
    </>
  )
}
