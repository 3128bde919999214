/** The unix attestor: selectors from the process's own attributes, under SPIRE's names. */

export interface UnixAttributes {
  readonly uid: number;
  readonly gid: number;
  readonly user: string | null;
  readonly group: string | null;
  /** Only a path that was verified; see exe.ts. */
  readonly path: string | null;
  readonly sha256: string | null;
}

export function unixSelectors(attributes: UnixAttributes): string[] {
  const { uid, gid, user, group, path, sha256 } = attributes;
  const selectors = [`unix:uid:${uid}`, `unix:gid:${gid}`];
  if (user !== null) selectors.push(`unix:user:${user}`);
  if (group !== null) selectors.push(`unix:group:${group}`);
  if (path !== null) selectors.push(`unix:path:${path}`);
  if (sha256 !== null) selectors.push(`unix:sha256:${sha256}`);
  return selectors;
}
