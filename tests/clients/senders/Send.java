// Sends orders as a shop's server does, by Java's HttpClient, which asks for HTTP/2 first: NAME ADDRESS…; prints a line for each answer.

import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;

public class Send {
  static final String LINES = "[{\"id\":\"12793\",\"quantity\":2,\"price\":\"99.95\"},{\"id\":7,\"quantity\":1,\"price\":1}]";
  static final HttpClient CLIENT = HttpClient.newHttpClient();

  static String flat(String sale) {
    return "key=demo-public-key&sale=" + sale + "&products=" + URLEncoder.encode(LINES, StandardCharsets.UTF_8);
  }

  static void show(HttpRequest.Builder request) throws Exception {
    var answer = CLIENT.send(request.build(), BodyHandlers.ofString());
    System.out.println(answer.statusCode() + " " + answer.body());
  }

  public static void main(String[] told) throws Exception {
    for (int at = 1; at < told.length; at++) {
      String sale = told[0] + "-" + (at - 1), url = told[at] + "/v2/log/sale";
      String json = "{\"key\":\"demo-public-key\",\"sale\":\"" + sale + "-json\",\"products\":" + LINES + "}";
      show(HttpRequest.newBuilder(URI.create(url)).header("Content-Type", "application/json").POST(BodyPublishers.ofString(json)));
      show(HttpRequest.newBuilder(URI.create(url + "?" + flat(sale + "-query"))));
      show(HttpRequest.newBuilder(URI.create(url))
          .header("Content-Type", "application/x-www-form-urlencoded").POST(BodyPublishers.ofString(flat(sale + "-form"))));
    }
  }
}
