/** Tokens and keys of clouds, forges and services, by the forms they publish. */
import type { Detector } from '../detector.ts';
import { type Form, tokenDetector } from './token.ts';

type Kind = Form['kind'];
const each = (prefixes: string, kind: Kind, min: number, exact?: true): Form[] =>
  prefixes.split(' ').map((prefix) => ({ prefix, kind, min, ...(exact && { exact }) }));

export const githubToken: Detector = tokenDetector('github-token', [
  ...each('ghp_ gho_ ghu_ ghs_ ghr_', 'alnum', 36),
  ...each('github_pat_', 'word', 36),
]);

export const gitlabToken: Detector = tokenDetector('gitlab-token', [
  ...each('glpat- gldt- glrt- glptt- glft- glimt- gloas- glsoat- glffct- glagent-', 'dotted', 20),
  ...each('glcbt- GR1348941', 'word', 20),
]);

export const slackToken: Detector = tokenDetector('slack-token', [
  ...each('xoxb- xoxp- xoxa- xoxr- xoxs- xoxo- xoxe- xoxe.xox xoxc- xoxd- xapp-', 'dotted', 20),
  { prefix: 'hooks.slack.com/services/', kind: 'path', min: 30, named: true },
  { prefix: 'hooks.slack.com/workflows/', kind: 'path', min: 30, named: true },
  { prefix: 'hooks.slack.com/triggers/', kind: 'path', min: 30, named: true },
]);

export const stripeKey: Detector = tokenDetector('stripe-key', [
  ...each('sk_live_ sk_test_ rk_live_ rk_test_', 'alnum', 16),
  ...each('whsec_', 'base64', 24),
]);

export const npmToken: Detector = tokenDetector('npm-token', [
  ...each('npm_', 'alnum', 36),
  { prefix: '_authToken=', kind: 'base64', min: 24, named: true },
]);

/** Macaroons in base64; `AgE` is how all of them begin. */
export const pypiToken: Detector = tokenDetector('pypi-token', each('pypi-AgE', 'word', 50));

export const gcpKey: Detector = tokenDetector('gcp-key', [
  ...each('AIza', 'word', 35, true),
  ...each('GOCSPX-', 'word', 28, true),
  ...each('ya29.', 'dotted', 30),
  ...each('1//0', 'word', 40),
]);

export const aiKey: Detector = tokenDetector('ai-key', [
  ...each('sk-proj- sk-svcacct- sk-admin- sk-ant-', 'word', 32),
  ...each('sk-or-v1-', 'hex', 64),
  ...each('hf_ api_org_', 'alnum', 34),
  ...each('pplx-', 'alnum', 40),
  ...each('gsk_', 'alnum', 48),
  ...each('r8_', 'alnum', 37, true),
  ...each('xai-', 'alnum', 60),
]);

export const serviceToken: Detector = tokenDetector('service-token', [
  ...each('SG.', 'dotted', 60),
  ...each('shpat_ shpca_ shppa_ shpss_', 'hex', 32, true),
  ...each('dop_v1_ doo_v1_ dor_v1_', 'hex', 64, true),
  ...each('hvs. hvb. hvr.', 'word', 24),
  ...each('dapi', 'hex', 32, true),
  ...each('dckr_pat_ dckr_oat_', 'word', 20),
  ...each('key-', 'hex', 32, true),
  ...each('sq0atp- sq0csp-', 'word', 22),
  ...each('ATATT3xFfGF0 ATCTT3xFfGN0', 'escaped', 40),
  ...each('lin_api_ lin_oauth_', 'alnum', 40),
  ...each('glsa_ glc_', 'escaped', 32),
  ...each('rubygems_', 'hex', 48, true),
  ...each('NRAK-', 'alnum', 27, true),
  ...each('PMAK-', 'word', 40),
  ...each('pul-', 'hex', 40, true),
  ...each('pscale_tkn_ pscale_pw_ pscale_oauth_', 'dotted', 32),
  ...each('dp.pt. dp.st.', 'dotted', 40),
  ...each('sntryu_', 'hex', 64, true),
  ...each('sntrys_', 'escaped', 60),
  ...each('ntn_', 'alnum', 40),
  ...each('fo1_ fm2_', 'escaped', 40),
  ...each('sbp_', 'hex', 40, true),
  ...each('xkeysib-', 'word', 70),
  ...each('EZAK EZTK', 'alnum', 54, true),
  ...each('AKCp', 'alnum', 69, true),
  ...each('cmVmd', 'alnum', 59, true),
  ...each('tfp_', 'dotted', 40),
  ...each('AGE-SECRET-KEY-1', 'alnum', 58, true),
  ...each('ops_eyJ', 'base64', 200),
  { prefix: 'discord.com/api/webhooks/', kind: 'path', min: 40, named: true },
  { prefix: 'discordapp.com/api/webhooks/', kind: 'path', min: 40, named: true },
]);
