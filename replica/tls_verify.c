/* SPDX-License-Identifier: Apache-2.0 */
/* Who a certificate is for, and what is wrong with one, in words. */
#include "keys.h"
#include "tls_part.h"
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* The URI's text behind KEYS_URI, or NULL for another. */
static const char *node_of(const GENERAL_NAME *n, size_t *len)
{
	const ASN1_IA5STRING *uri;
	const char *text;
	size_t opening = strlen(KEYS_URI);

	if (n->type != GEN_URI)
		return NULL;
	uri = n->d.uniformResourceIdentifier;
	text = (const char *)ASN1_STRING_get0_data(uri);
	*len = (size_t)ASN1_STRING_length(uri);
	if (*len < opening || memcmp(text, KEYS_URI, opening) != 0)
		return NULL;
	*len -= opening;
	return text + opening;
}

bool tls_certified_name(X509 *crt, char name[FRAME_NAME], char why[LINK_WHY])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(crt, NID_subject_alt_name, NULL, NULL);
	int found = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		size_t len;
		const char *text = node_of(sk_GENERAL_NAME_value(names, i), &len);

		if (!text)
			continue;
		found++;
		snprintf(name, FRAME_NAME, "%.*s", (int)(len < FRAME_NAME ? len : 0), text);
		if (strlen(name) != len || !keys_name_valid(name))
			found = 2;
	}
	GENERAL_NAMES_free(names);
	if (found != 1)
		snprintf(why, LINK_WHY, "the certificate is none of a node: it has %s \"URI:" KEYS_URI "NAME\" in its subjectAltName",
			found ? "more or worse than one" : "no");
	return found == 1;
}

static void print_day(const ASN1_TIME *t, char to[16])
{
	struct tm tm;

	if (!t || ASN1_TIME_to_tm(t, &tm) != 1 || !strftime(to, 16, "%Y-%m-%d", &tm))
		strcpy(to, "?");
}

void tls_explain(int code, X509 *crt, char why[LINK_WHY])
{
	char day[16];

	switch (code) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		print_day(crt ? X509_get0_notAfter(crt) : NULL, day);
		snprintf(why, LINK_WHY, "the certificate has expired on %s", day);
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		print_day(crt ? X509_get0_notBefore(crt) : NULL, day);
		snprintf(why, LINK_WHY, "the certificate is valid from %s on: is a clock wrong?", day);
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
	case X509_V_ERR_CERT_CHAIN_TOO_LONG:
		snprintf(why, LINK_WHY, "the certificate is by another CA than this cluster's");
		break;
	case X509_V_ERR_INVALID_PURPOSE:
		snprintf(why, LINK_WHY, "the certificate is not for a node, which calls and is called: it lacks serverAuth or clientAuth");
		break;
	default:
		snprintf(why, LINK_WHY, "the certificate is not accepted: %s", X509_verify_cert_error_string(code));
	}
}

/* The code decides which alert the other side gets to see (tls_link.c says what it makes of it): a wrong name goes as bad_certificate. */
int tls_verify(int good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_link *l = SSL_get_app_data(ssl);
	X509 *crt = X509_STORE_CTX_get_current_cert(store);

	if (!good) {
		tls_explain(X509_STORE_CTX_get_error(store), crt, l->refusal);
		return 0;
	}
	if (X509_STORE_CTX_get_error_depth(store) > 0)
		return 1;
	if (tls_certified_name(crt, l->link.peer, l->refusal)) {
		if (!l->wanted || strcmp(l->link.peer, l->wanted) == 0)
			return 1;
		snprintf(l->refusal, sizeof l->refusal, "the certificate is of the node %s, not of %s", l->link.peer, l->wanted);
	}
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return 0;
}
