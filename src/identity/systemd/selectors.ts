/** The systemd attestor: selectors from where systemd put the process. */
import { type SystemdPlace, splitInstance } from './unit.ts';

/**
 * `systemd:unit`, `systemd:slice`, `systemd:template` and `systemd:instance` speak of system units alone; what a
 * user's service manager says is `systemd:user-unit` and `systemd:user-slice`, with the uid in it.
 */
export function systemdSelectors(place: SystemdPlace): string[] {
  const selectors = [`systemd:slice:${place.slice}`];
  if (place.unit !== null) {
    selectors.push(`systemd:unit:${place.unit}`);
    const split = splitInstance(place.unit);
    if (split !== null)
      selectors.push(`systemd:template:${split.template}`, `systemd:instance:${split.instance}`);
  }
  if (place.user !== null) {
    selectors.push(`systemd:user-slice:${place.user.uid}:${place.user.slice}`);
    if (place.user.unit !== null) selectors.push(`systemd:user-unit:${place.user.uid}:${place.user.unit}`);
  }
  return selectors;
}
